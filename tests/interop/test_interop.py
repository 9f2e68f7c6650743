"""usage: test_interop.py BIGCHAINDB DATABASE_SERVER FOLDER

Two nodes of BigchainDB Server 1.0.1 and one of this project on one database; then the two are replaced, under load, by
nodes of this project with the same keys. See `run`.
"""
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from federation import PATIENCE, equal, run
from nodes import Key, PythonNode, RustNode, wait_until

TRANSACTIONS = int(os.environ['INTEROP_TRANSACTIONS'])
# One in so many CREATEs is transferred.
TRANSFERRED = 5
# Assets that are transferred so often, one after the other.
CHAINS, LINKS = 6, 3
# Accepted and not yet valid, while nodes are replaced: enough that each node has work when it goes.
OUTSTANDING = 60


def check_a_node_joins_a_ledger_that_python_made(f):
    f.nodes.append(f.start(PythonNode, 'python-a', f.keys[0]))
    f.nodes.append(f.start(PythonNode, 'python-b', f.keys[1]))
    f.nodes.append(f.start(RustNode, 'rust-c', f.keys[2]))
    # Nothing of ours in it that would say which rules hold: so they are those of 1.0.1.
    equal(f.tables.ledger.count_documents({}), 0, 'records of rules')
    equal(f.tables.bigchain.count_documents({}), 1, 'blocks')
    for node in f.nodes:
        seen = json.loads(node.get('/')[1])
        equal(sorted(seen['keyring']), sorted(key.public for key in f.others(node.key)), node.name + ': keyring')


def check_creates_are_accepted_by_all(f):
    f.creates = [f.create(n) for n in range(TRANSACTIONS)]
    began = time.monotonic()
    equal(f.send(f.creates), [], 'not accepted')
    print('    {:.0f} accepted/s'.format(TRANSACTIONS / (time.monotonic() - began)), flush=True)


def check_creates_become_valid_at_all(f):
    f.all_valid([tx['id'] for tx in f.creates])


def check_all_three_made_blocks_with_creates(f):
    makers = f.makers()
    found = Counter(makers[tx['id']] for tx in f.creates)
    for node in f.nodes:
        print('    {} of {}'.format(found[node.key.public], node.name), flush=True)
    assert all(found[node.key.public] for node in f.nodes), found


def check_transfers_are_accepted_whoever_made_the_asset(f):
    heir = Key(f.random)
    f.transfers = [f.transfer(tx, heir) for tx in f.random.sample(f.creates, TRANSACTIONS // TRANSFERRED)]
    equal(f.send(f.transfers), [], 'not accepted')


def check_transfers_become_valid_at_all(f):
    f.all_valid([tx['id'] for tx in f.transfers])
    makers = f.makers()
    pairs = Counter(
        (f.kind_of(makers[tx['asset']['id']]), f.kind_of(makers[tx['id']])) for tx in f.transfers)
    print('    made by, transferred by: {}'.format(dict(pairs)), flush=True)
    equal(len(pairs), 4, 'combinations of who made the asset and who transferred it, {}'.format(dict(pairs)))


def check_a_transfer_may_follow_as_soon_as_one_node_says_valid(f):
    """The other nodes may not have counted the votes on the block before."""
    def chain(n):
        made = [begins[n]]
        for link in range(LINKS + 1):
            code = f.nodes[(n + link) % 3].post(made[-1])
            equal(code, 202, 'answer to {} after {} transfers'.format(made[-1]['id'], link))
            next_one = f.nodes[(n + link + 1) % 3]
            wait_until('{} is valid at {}'.format(made[-1]['id'], next_one.name), PATIENCE,
                       lambda: next_one.status(transaction_id=made[-1]['id']) == 'valid')
            made.append(f.transfer(made[-1], f.user))
        return made[:-1]
    begins = [f.create(-1 - n) for n in range(CHAINS)]
    with ThreadPoolExecutor(CHAINS) as pool:
        chains = list(pool.map(chain, range(CHAINS)))
    f.chained = [tx for made in chains for tx in made]
    f.all_valid([tx['id'] for tx in f.chained])


def check_a_second_spend_is_refused_by_all(f):
    spent = {tx['asset']['id'] for tx in f.transfers[:9]}
    for create in (tx for tx in f.creates if tx['id'] in spent):
        again = f.transfer(create, Key(f.random))
        equal([node.post(again) for node in f.nodes], [400] * 3, 'answers')


def check_every_block_is_voted_on_by_all_three(f):
    wanted = sorted(key.public for key in f.keys)

    def missing():
        votes = {}
        for vote in f.tables.votes.find({}, {'_id': 0}):
            votes.setdefault(vote['vote']['voting_for_block'], []).append(vote)
        lacking = []
        for block in f.blocks():
            cast = votes.get(block['id'], [])
            equal(sorted(block['block']['voters']), wanted, 'voters of ' + block['id'])
            if sorted(vote['node_pubkey'] for vote in cast) != wanted:
                lacking.append(block['id'])
        return lacking
    wait_until('every block has a vote of each node', PATIENCE, lambda: not missing())
    amount = len(f.blocks())
    print('    {} blocks by {}'.format(
        amount, dict(Counter(f.kind_of(block['block']['node_pubkey']) for block in f.blocks()))), flush=True)


def check_every_vote_is_for_the_block(f):
    against = [vote for vote in f.tables.votes.find({}, {'_id': 0}) if vote['vote']['is_block_valid'] is not True]
    equal(against, [], 'votes against a block')


def check_every_node_chains_its_votes(f):
    """Each vote names the block that its node voted on before, beginning with the first block."""
    genesis = next(block['id'] for block in f.tables.bigchain.find({}, {'_id': 0})
                   if block['block']['transactions'][0]['operation'] == 'GENESIS')
    for key in f.keys:
        named = {}
        for vote in f.tables.votes.find({'node_pubkey': key.public}, {'_id': 0}):
            named.setdefault(vote['vote']['previous_block'], []).append(vote['vote']['voting_for_block'])
        forks = {block: after for block, after in named.items() if len(after) > 1}
        equal(forks, {}, 'blocks that two votes of {} name'.format(key.public))
        at, length = genesis, 0
        while at in named:
            at, length = named[at][0], length + 1
        equal(length, len(named), 'votes of {} from the first block on'.format(key.public))


def check_every_block_is_decided_alike_at_all(f):
    """By the rule of 1.0.1: a vote counts for a block only if it names the same block before as most do. Nodes of 1.0.1
    judge transactions in two processes, so they may vote on two blocks in another order than the others; where all
    three differ, a block is invalid although everybody called it valid, and its transactions go into another."""
    named = {}
    for vote in f.tables.votes.find({}, {'_id': 0}):
        named.setdefault(vote['vote']['voting_for_block'], {})[vote['node_pubkey']] = vote['vote']['previous_block']
    decided, alone = Counter(), Counter()
    for block in f.blocks():
        before = Counter(named[block['id']].values())
        agreeing = max(before.values())
        alone.update(f.kind_of(key) for key, previous in named[block['id']].items() if before[previous] == 1)
        wanted = 'valid' if 2 * agreeing > len(f.keys) else 'invalid'
        decided[wanted, agreeing] += 1
        for node in f.nodes:
            wait_until('{} is {} at {}'.format(block['id'], wanted, node.name), PATIENCE,
                       lambda: node.status(block_id=block['id']) == wanted)
    for (status, agreeing), amount in sorted(decided.items()):
        print('    {} {} by {} votes that name the same block before'.format(amount, status, agreeing), flush=True)
    print('    alone with its order: {}'.format(dict(alone) or 'none'), flush=True)
    assert sum(amount for (status, _), amount in decided.items() if status == 'valid') > len(f.blocks()) / 2, decided


def check_all_answer_alike(f):
    blocks = f.random.sample(f.blocks(), min(5, len(f.blocks())))
    paths = [('/api/v1/transactions/' + tx['id'], {}) for tx in f.random.sample(f.creates + f.transfers, 10)]
    paths += [('/api/v1/blocks/' + block['id'], {}) for block in blocks]
    paths += [('/api/v1/blocks', {'transaction_id': f.transfers[0]['id']})]
    paths += [('/api/v1/transactions', {'asset_id': tx['asset']['id']}) for tx in f.transfers[:5]]
    lists = [('/api/v1/votes', {'block_id': block['id']}) for block in blocks]
    outputs = [('/api/v1/outputs', {'public_key': f.user.public, 'spent': flag}) for flag in ('true', 'false')]
    lists += outputs
    for path, parameters in paths + lists:
        answers = [node.get(path, **parameters) for node in f.nodes]
        bodies = [json.loads(body) for _, body in answers]
        if (path, parameters) in lists:
            # The database gives these in no particular order.
            bodies = [sorted(json.dumps(item, sort_keys=True) for item in body) for body in bodies]
        if (path, parameters) in outputs:
            # Nodes of 1.0.1 give an output again for each block that they voted for, also if it was decided invalid.
            bodies = [sorted(set(body)) for body in bodies]
        equal([code for code, _ in answers], [200] * 3, path)
        for node, body in zip(f.nodes, bodies):
            differing = [item for item in body + bodies[0] if (item in body) != (item in bodies[0])] \
                if isinstance(body, list) else body
            assert body == bodies[0], '{} {}: {} has {}, {} has {}; differing: {}'.format(
                path, parameters, node.name, len(body), f.nodes[0].name, len(bodies[0]), differing)


class Load:
    """Sends CREATEs and TRANSFERs to whoever is there until it is stopped; keeps what was accepted."""
    def __init__(self, f):
        self.f = f
        transferred = {tx['asset']['id'] for tx in f.transfers}
        self.unspent = [tx for tx in f.creates if tx['id'] not in transferred]
        self.accepted = []
        self.refused = Counter()
        self.open = set()
        self.n = TRANSACTIONS
        self.stopped = threading.Event()
        self.errors = []
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopped.is_set():
                if len(self.open) >= OUTSTANDING:
                    self.open = {tx for tx in self.open if self.f.rust[0].status(transaction_id=tx) != 'valid'}
                    self.stopped.wait(0.1)
                    continue
                self.send()
        except Exception as error:
            self.errors.append(error)

    def send(self):
        self.n += 1
        # A node of this project assigns CREATEs to itself, TRANSFERs to any node.
        if self.n % 2 and self.unspent:
            tx = self.f.transfer(self.unspent.pop(), self.f.keys[0])
        else:
            tx = self.f.create(self.n)
        # Not all nodes are there at every moment.
        nodes = list(self.f.nodes)
        code = nodes[self.n % len(nodes)].post(tx)
        if code == 202:
            self.accepted.append(tx['id'])
            self.open.add(tx['id'])
        else:
            # No answer, as the node is not there; 503, as it cannot tell. All that is sent is valid.
            assert code in (None, 503), '{} of {}: answered with {}'.format(tx['operation'], tx['id'], code)
            self.refused[code] += 1

    def go_on(self, amount):
        """Waits until so many more were accepted."""
        wanted = len(self.accepted) + amount

        def reached():
            assert not self.errors, self.errors
            return len(self.accepted) >= wanted
        wait_until('{} more are accepted'.format(amount), PATIENCE, reached)

    def stop(self):
        self.stopped.set()
        self.thread.join(60)
        assert not self.errors, self.errors


def check_nodes_are_replaced_under_load(f):
    f.load = Load(f)
    try:
        # Once as an orderly stop, once as by a power cut.
        for place, name, number in ((0, 'rust-a', signal.SIGTERM), (1, 'rust-b', signal.SIGKILL)):
            f.load.go_on(OUTSTANDING)
            old = f.nodes[place]
            its_own = {'assignee': old.key.public}
            wait_until('something waits for ' + old.name, PATIENCE, lambda: f.tables.backlog.count_documents(its_own))
            old.stop(number)
            waiting = f.tables.backlog.count_documents(its_own)
            f.nodes[place] = f.start(RustNode, name, old.key)
            print('    {} in place of {}, {} waiting for it'.format(name, old.name, waiting), flush=True)
            f.load.go_on(OUTSTANDING)
    finally:
        f.load.stop()
    print('    {} accepted meanwhile; not answered with 202: {}'.format(
        len(f.load.accepted), dict(f.load.refused) or 'none'), flush=True)
    equal([node.kind for node in f.nodes], ['Rust'] * 3, 'nodes')


def check_nothing_accepted_is_lost(f):
    f.all_valid([tx['id'] for tx in f.creates + f.transfers + f.chained] + f.load.accepted)


def check_every_block_is_still_voted_on_by_all_three(f):
    check_every_block_is_voted_on_by_all_three(f)


def check_the_votes_of_the_new_nodes_go_on_where_the_old_ones_ended(f):
    check_every_node_chains_its_votes(f)


def check_nothing_is_left_waiting(f):
    wait_until('the backlog is empty', PATIENCE, lambda: f.tables.backlog.count_documents({}) == 0)


def check_the_whole_ledger_verifies(f):
    result = f.nodes[2].command('verify')
    print('    ' + result.stdout.strip(), flush=True)
    equal(result.returncode, 0, result.stdout + result.stderr)


def check_no_node_reported_an_error(f):
    equal([(node.name, node.errors()) for node in f.nodes if node.errors()], [], 'errors')


def check_every_node_stops_in_order(f):
    for node in f.nodes:
        equal((node.name, node.stop()), (node.name, 0), 'exit code')


if __name__ == '__main__':
    sys.exit(run(globals(), *sys.argv[1:]))
