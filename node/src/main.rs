//! The BigchainDB node.

fn main() {}
