//! Text search of assets: MongoDB's `$text` meaning. The documents are those of MongoDB's manual, "Text Search", by which
//! BigchainDB 1.0.1 tests its own.

use std::sync::Arc;

use bigchaindb::store::Store;
use ledger::ids::TxId;
use ledger::transaction::Transaction;

use crate::Backend;
use crate::world::{self, block, create, taken, transfer};

const DOCUMENTS: &[&str] = &[
    r#"{"subject":"coffee","author":"xyz","views":50}"#,
    r#"{"subject":"Coffee Shopping","author":"efg","views":5}"#,
    r#"{"subject":"Baking a cake","author":"abc","views":90}"#,
    r#"{"subject":"baking","author":"xyz","views":100}"#,
    r#"{"subject":"Café Con Leche","author":"abc","views":200}"#,
    r#"{"subject":"Сырники","author":"jkl","views":80}"#,
    r#"{"subject":"coffee and cream","author":"efg","views":10}"#,
    r#"{"subject":"Cafe con Leche","author":"xyz","views":10}"#,
];

/// Writes a valid block for each asset.
async fn write(store: &dyn Store, assets: &[&str]) -> Vec<Arc<Transaction>> {
    let mut written = Vec::new();
    for (n, asset) in (1..).zip(assets) {
        let tx = create(4, &[(4, 1)], asset);
        let made = block(&[&tx], n);
        store.write_block(made.clone(), &taken()).await.unwrap();
        store.decide(&made.id, true, Vec::new()).await.unwrap();
        written.push(tx);
    }
    written
}

/// Numbers of the found documents, from 1, as MongoDB's manual counts them.
async fn numbers(store: &dyn Store, assets: &[Arc<Transaction>], query: &str, limit: usize) -> Vec<usize> {
    let found = store.search_assets(query, limit).await.unwrap();
    let number = |id: TxId| assets.iter().position(|tx| tx.id() == id).map_or(0, |n| n + 1);
    found.iter().map(|asset| number(asset.id)).collect()
}

pub async fn finds_words_as_mongodb_does(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    // A stemmer takes the last letters of such an id off.
    let mut numbered = (0..).map(|n| format!("{{\"subject\":\"number{n}\"}}"));
    let with_stem = numbered.find(|asset| create(4, &[(4, 1)], asset).id().to_string().ends_with("ed")).unwrap();
    let documents: Vec<&str> = DOCUMENTS.iter().copied().chain([with_stem.as_str()]).collect();
    let assets = write(store.as_ref(), &documents).await;
    drop(store);
    for orderly in [None, Some(true), Some(false)] {
        if let Some(orderly) = orderly {
            backend.reopen(orderly).await;
        }
        let store = backend.store();
        for (query, expected) in [
            ("coffee", &[1, 2, 7][..]),
            ("COFFEES", &[1, 2, 7]),
            ("bake coffee cake", &[3, 1, 4, 2, 7]),
            ("\"coffee shop\"", &[2]),
            ("coffee -shop", &[1, 7]),
            ("сы\u{301}рники CAFÉS", &[6, 5, 8]),
            ("leche", &[5, 8]),
            ("\"cafe con leche\"", &[5, 8]),
            ("-coffee", &[]),
            ("a and", &[]),
            ("", &[]),
            ("subject", &[]),
            ("tea", &[]),
            ("50", &[]),
        ] {
            assert_eq!(numbers(store.as_ref(), &assets, query, 0).await, expected, "{query}");
        }
        assert_eq!(numbers(store.as_ref(), &assets, "coffee", 2).await, [1, 2]);
        for (n, tx) in (1..).zip(&assets) {
            assert_eq!(numbers(store.as_ref(), &assets, &tx.id().to_string(), 0).await, [n], "the id is text too");
        }
        let shouted = format!("\"{}\"", assets[4].id().to_string().to_uppercase());
        assert_eq!(numbers(store.as_ref(), &assets, &shouted, 0).await, [5]);
        let found = store.search_assets("leche", 1).await.unwrap();
        assert_eq!(found[0].data, r#"{"author":"abc","subject":"Café Con Leche","views":200}"#);
    }
}

pub async fn orders_by_score(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let documents =
        [r#"{"a":"red and green and blue"}"#, r#"{"a":"red red"}"#, r#"{"a":"Red"}"#, r#"{"a":"red","b":"red"}"#];
    let assets = write(store.as_ref(), &documents).await;
    assert_eq!(numbers(store.as_ref(), &assets, "red", 0).await, [4, 2, 3, 1]);
}

pub async fn finds_only_assets_of_valid_creates(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let txs: Vec<_> = (0..4).map(|n| create(4, &[(4, 1)], &format!("{{\"n\":{n},\"name\":\"bicycle\"}}"))).collect();
    store.write_backlog(vec![world::entry(&txs[0], 1, 1)]).await.unwrap();
    let spent = transfer(4, &[(&txs[3], 0)], &[(5, 1)]);
    let blocks = [block(&[&txs[1]], 1), block(&[&txs[2]], 2), block(&[&txs[3]], 3), block(&[&spent], 4)];
    for block in &blocks {
        store.write_block(block.clone(), &taken()).await.unwrap();
    }
    for (n, valid) in [(1, false), (2, true), (3, true)] {
        store.decide(&blocks[n].id, valid, Vec::new()).await.unwrap();
    }
    let found = store.search_assets("bicycle", 0).await.unwrap();
    assert_eq!(found.iter().map(|asset| asset.id).collect::<Vec<_>>(), [txs[3].id()]);
}

pub async fn finds_an_asset_as_soon_as_it_is_valid(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    for n in 0..20 {
        let asset = write(store.as_ref(), &[&format!("{{\"name\":\"thing number{n}\"}}")]).await;
        assert_eq!(numbers(store.as_ref(), &asset, &format!("number{n}"), 0).await, [1]);
    }
    assert_eq!(store.search_assets("things", 0).await.unwrap().len(), 20);
    drop(store);
    backend.reopen(true).await;
    let asset = write(backend.store().as_ref(), &["{\"name\":\"another thing\"}"]).await;
    assert_eq!(numbers(backend.store().as_ref(), &asset, "another", 0).await, [1]);
    assert_eq!(backend.store().search_assets("things", 0).await.unwrap().len(), 21);
}

pub async fn finds_text_at_any_depth(backend: &mut dyn Backend) {
    let store = backend.store();
    world::initialise(store.as_ref()).await;
    let documents = [
        r#"{"a":[{"b":{"c":[1,"bell"]}}]}"#,
        r#"{"bell":1}"#,
        r#"{"de":{"language":"german","text":"die Glocken"},"text":"die bells"}"#,
    ];
    let assets = write(store.as_ref(), &documents).await;
    assert_eq!(numbers(store.as_ref(), &assets, "bell", 0).await, [1, 3]);
    assert_eq!(numbers(store.as_ref(), &assets, "glock", 0).await, [3], "stemmed by the rules of its language");
    assert_eq!(numbers(store.as_ref(), &assets, "die", 0).await, [3], "a stop word in German only");
}
