"""usage: test_conflicts.py BIGCHAINDB DATABASE_SERVER FOLDER

Conflicting transactions, sent at once to two of three nodes: two of BigchainDB Server 1.0.1 and one of this project.
"""
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from federation import PATIENCE, equal, run
from nodes import Key, Node, PythonNode, RustNode, wait_until

PAIRS = int(os.environ['INTEROP_CONFLICTS'])
# Blocks that may hold one transaction. A loser is put into blocks that are decided invalid, by 1.0.1, as long as its
# rival is undecided.
ATTEMPTS = 8


def check_three_nodes_start(f):
    # What waits for a node that gave up is not waited for long.
    Node.reassign_delay = 10
    for kind, name, key in zip((PythonNode, PythonNode, RustNode), ('python-a', 'python-b', 'rust-c'), f.keys):
        f.nodes.append(f.start(kind, name, key))


def check_assets_become_valid_at_all(f):
    f.creates = [f.create(n) for n in range(PAIRS)]
    equal(f.send(f.creates), [], 'not accepted')
    f.all_valid([tx['id'] for tx in f.creates])


def check_both_of_a_pair_are_sent_at_once(f):
    f.pairs = [[f.transfer(create, Key(f.random)) for _ in range(2)] for create in f.creates]
    answers = Counter()
    with ThreadPoolExecutor(2) as pool:
        for n, pair in enumerate(f.pairs):
            nodes = f.nodes[n % 3], f.nodes[(n + 1 + n // 3 % 2) % 3]
            codes = tuple(pool.map(lambda to: to[0].post(to[1]), zip(nodes, pair)))
            assert 202 in codes, 'both were refused: {}'.format(codes)
            answers[codes] += 1
    print('    answers: {}'.format(dict(answers)), flush=True)


def stuck(f):
    """Nodes of 1.0.1 whose voting process has ended itself: it does so when it finds an output spent in two blocks of
    which neither is decided yet, and again whenever it is started."""
    return [node for node in f.nodes if node.kind == 'Python' and 'CriticalDoubleSpend' in node.said()]


def settle(f, what, settled):
    """Waits, and puts nodes of this project in the place of those of 1.0.1 that gave up."""
    while not settled():
        for old in stuck(f):
            print('    {} gave up: a node of this project takes its place'.format(old.name), flush=True)
            old.stop()
            f.nodes[f.nodes.index(old)] = f.start(RustNode, old.name.replace('python', 'rust'), old.key)
        wait_until(what + ', or a node gave up', PATIENCE, lambda: stuck(f) or settled())


def check_each_output_finds_its_spender(f):
    def one_of_each():
        return all('valid' in [f.nodes[2].status(transaction_id=tx['id']) for tx in pair] for pair in f.pairs)
    settle(f, 'one of each pair is valid', one_of_each)


def check_nothing_goes_round_for_ever(f):
    settle(f, 'the backlog is empty', lambda: not f.tables.backlog.count_documents({}))
    held = Counter(tx['id'] for block in f.blocks() for tx in block['block']['transactions'])
    equal([(tx, blocks) for tx, blocks in held.items() if blocks > ATTEMPTS], [], 'transactions in too many blocks')
    print('    blocks that hold one: {}'.format(dict(Counter(held.values()))), flush=True)


def check_no_output_is_spent_twice(f):
    for pair in f.pairs:
        for node in f.nodes:
            statuses = [node.status(transaction_id=tx['id']) for tx in pair]
            assert statuses.count('valid') <= 1, '{}: {}; {}'.format(node.name, statuses, history(f, pair))


def history(f, pair):
    """Who made the blocks that hold a pair, and who voted how on them, oldest first."""
    names = {node.key.public: node.name for node in f.nodes}
    told = []
    for block in f.tables.bigchain.find({'block.transactions.id': {'$in': [tx['id'] for tx in pair]}}).sort('_id'):
        held = [n for n, tx in enumerate(pair) if tx['id'] in [t['id'] for t in block['block']['transactions']]]
        votes = f.tables.votes.find({'vote.voting_for_block': block['id']}).sort('_id')
        cast = ['{}: {} at {}'.format(names[vote['node_pubkey']], vote['vote']['is_block_valid'], vote['_id'])
                for vote in votes]
        told.append('{} of {} with {}, {}: {}'.format(
            block['_id'], names[block['block']['node_pubkey']], held, block['id'][:8], ', '.join(cast)))
    return '\n'.join([''] + told)


def check_the_loser_can_learn_why(f):
    node = f.nodes[2]
    for pair in f.pairs:
        for tx in pair:
            if node.status(transaction_id=tx['id']) is None:
                code, body = node.get('/api/v1/rejections/' + tx['id'])
                assert code == 404 or 'DoubleSpend' in body, body


if __name__ == '__main__':
    sys.exit(run(globals(), *sys.argv[1:]))
