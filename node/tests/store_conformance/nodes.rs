//! What a store must do that several nodes write to: an order of one may arrive after those of another.

use bigchaindb::store::mongo::Compat;
use bigchaindb::store::{Store, Taken};

use crate::Backend as _;
use crate::mongo::Mongo;
use crate::world::{self, backlog_now, block, create, entry, public};

/// Node 1 has made a block, and does not come to taking its transactions out of the backlog until another node has decided
/// that the block is invalid and given them back.
fn a_late_maker_leaves_what_was_given_back(compat: Option<Compat>) {
    world::run(async {
        let Some(backend) = Mongo::new(compat).await else { return };
        let (maker, other) = (backend.store(), backend.another(2).await);
        world::initialise(maker.as_ref()).await;
        let txs: Vec<_> = (0..4).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n}}}"))).collect();
        let assigned = [(1, 1_000), (3, 1_000), (1, 1_001), (1, 1_001)];
        let waiting = txs.iter().zip(assigned).map(|(tx, (to, at))| entry(tx, to, at)).collect();
        maker.write_backlog(waiting).await.unwrap();
        let made = block(&[&txs[0], &txs[1], &txs[2]], 1);
        maker.write_block(made.clone(), &Taken::by(public(1), &[])).await.unwrap();

        let requeue = [0, 1].map(|n| entry(&txs[n], 2, 2_000)).to_vec();
        assert!(other.decide(&made.id, false, requeue).await.unwrap());
        let taken = Taken { assignee: public(1), assigned_at: 1_000..=1_001 };
        maker.write_block(made.clone(), &taken).await.unwrap();
        let (entries, _) = backlog_now(maker.as_ref(), None, 9).await;
        let mut left: Vec<_> = entries.iter().map(|e| (e.transaction.id(), e.assignee, e.assigned_at)).collect();
        let mut expected =
            vec![(txs[0].id(), public(2), 2_000), (txs[1].id(), public(3), 1_000), (txs[3].id(), public(1), 1_001)];
        left.sort_unstable();
        expected.sort_unstable();
        assert_eq!(left, expected, "all but the one that nobody gave back, and that is in the block");
        assert_eq!(maker.backlog_len(), 3);
    });
}

#[test]
fn a_late_maker_leaves_what_was_given_back_on_mongodb() {
    a_late_maker_leaves_what_was_given_back(None);
}

#[test]
fn a_late_maker_leaves_what_was_given_back_beside_python() {
    a_late_maker_leaves_what_was_given_back(Some(Compat::Python));
}
