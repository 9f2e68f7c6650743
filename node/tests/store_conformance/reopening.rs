//! A store that was closed, or killed, and opened again gives the same answers.

use crate::Backend;
use crate::world::{
    self, Written, block, create, difference, entry, other_copy, picture, public, rejection, taken, transfer, vote,
};

pub async fn answers_the_same_after_every_step(backend: &mut dyn Backend) {
    let money = create(4, &[(4, 5), (5, 6)], "{\"name\":\"money\"}");
    let spent = transfer(4, &[(&money, 0)], &[(6, 2), (4, 3)]);
    let rival = transfer(4, &[(&money, 0)], &[(7, 5)]);
    let copy = other_copy(&spent);
    let others: Vec<_> = (0..4).map(|n| create(5, &[(5, 1)], &format!("{{\"n\":{n}}}"))).collect();
    let genesis = world::genesis();
    let first = block(&[&money, &others[0]], 1);
    let second = block(&[&spent, &others[1]], 2);
    let third = block(&[&copy, &others[2]], 3);
    let fourth = block(&[&copy, &others[1]], 4);
    let written = Written {
        transactions: [&money, &spent, &rival].into_iter().chain(&others).cloned().collect(),
        blocks: [&genesis, &first, &second, &third, &fourth].iter().map(|block| block.id).collect(),
    };
    for step in 0..19 {
        let store = backend.store();
        match step {
            0 => drop(world::initialise(store.as_ref()).await),
            1 => store.write_backlog(vec![entry(&money, 1, 1), entry(&others[0], 2, 2)]).await.unwrap(),
            2 => store.write_backlog(others.iter().map(|tx| entry(tx, 1, 3)).collect()).await.unwrap(),
            3 => drop(store.reassign(&[entry(&money, 1, 1), entry(&others[3], 1, 3)], public(3), 4).await.unwrap()),
            4 => store.write_block(first.clone(), &taken()).await.unwrap(),
            5 => drop(store.write_vote(&vote(1, &first, &genesis, true)).await.unwrap()),
            6 => drop(store.write_vote(&vote(2, &first, &genesis, true)).await.unwrap()),
            7 => drop(store.decide(&first.id, true, Vec::new()).await.unwrap()),
            8 => store.write_backlog(vec![entry(&spent, 1, 5), entry(&rival, 1, 5)]).await.unwrap(),
            9 => store.write_block(second.clone(), &taken()).await.unwrap(),
            10 => store.reject(vec![rejection(&rival, 6)]).await.unwrap(),
            11 => drop(store.write_vote(&vote(1, &second, &first, false)).await.unwrap()),
            12 => {
                let requeue = vec![entry(&spent, 2, 7), entry(&others[1], 3, 7)];
                assert!(store.decide(&second.id, false, requeue).await.unwrap());
            }
            13 => drop(store.write_vote(&vote(3, &first, &genesis, false)).await.unwrap()),
            14 => store.write_block(third.clone(), &taken()).await.unwrap(),
            15 => store.write_block(fourth.clone(), &taken()).await.unwrap(),
            16 => drop(store.decide(&fourth.id, true, Vec::new()).await.unwrap()),
            17 => store.delete_backlog(&[others[3].id()]).await.unwrap(),
            18 => drop(store.decide(&third.id, true, Vec::new()).await.unwrap()),
            _ => unreachable!(),
        }
        let before = picture(store.as_ref(), &written).await;
        drop(store);
        for orderly in [true, false] {
            backend.reopen(orderly).await;
            let after = picture(backend.store().as_ref(), &written).await;
            let difference = difference(&before, &after);
            assert!(
                difference.is_empty(),
                "step {step}, orderly {orderly}
{difference}"
            );
        }
    }
}
