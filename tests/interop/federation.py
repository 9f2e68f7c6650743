"""A federation of nodes of both kinds on one database, and the runner of checks that they share."""
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pymongo
from bigchaindb.common.transaction import Transaction

from nodes import DATABASE, Database, Key, Process, RustNode, stop_all, wait_until

SEED = int(os.environ['INTEROP_SEED'])
# For all to become valid, seconds: more than the 120 after which a transaction whose node sleeps is given to another.
PATIENCE = 180

# What may come back from a database otherwise than it went in, which would change the transaction's id.
VALUES = [
    None, True, 0, 1.0, -0.0, 0.1, 1e16, 1e-7, 1.7976931348623157e308, 5e-324, 2**31, 2**53 + 1, 2**63 - 1, -2**63,
    '', 'é', 'e\u0301', '\U0001f511', '\u2028', '"\\\n\t\x01\x7f', [], {}, [[]], [{}, [None]], {'': ''},
    {'z': 1, 'a': {'Z': 2, 'A': 3}}, {'_id': 1}, {'id': 'x', 'data': {}, 'asset': []}, 'x' * 10000,
]


class Federation:
    """What the checks share; they run one after the other, each on what the ones before have left."""
    def __init__(self, program, server, folder):
        RustNode.program = program
        self.folder = folder
        self.random = random.Random(SEED)
        self.keys = [Key(self.random) for _ in range(3)]
        self.user = Key(self.random)
        self.database = Database(folder, server)
        client = pymongo.MongoClient('127.0.0.1', self.database.port)
        self.tables = client[DATABASE]
        self.nodes = []
        self.creates = []
        self.transfers = []
        self.chained = []

    def others(self, key):
        return [other for other in self.keys if other is not key]

    def start(self, kind, name, key):
        return kind(self.folder, name, key, self.others(key), self.database).ready()

    def create(self, n):
        # `n` and `random` make it unlike all others.
        asset = {'n': n, 'random': self.random.random(), 'value': VALUES[n % len(VALUES)]}
        owner = [self.user.public]
        metadata = {'values': [asset['value'], n / 7]}
        made = Transaction.create(owner, [(owner, 1 + n % 3)], metadata=metadata, asset=asset)
        return made.sign([self.user.private]).to_dict()

    def transfer(self, spent, to):
        asset = spent['asset'].get('id', spent['id'])
        spent = Transaction.from_dict(spent)
        made = Transaction.transfer(spent.to_inputs(), [([to.public], spent.outputs[0].amount)], asset_id=asset)
        return made.sign([self.user.private]).to_dict()

    @property
    def rust(self):
        """Nodes that answer quickly while the others work."""
        return [node for node in self.nodes if node.kind == 'Rust']

    def send(self, transactions):
        """Posts round robin to all nodes; returns what was not answered with 202."""
        with ThreadPoolExecutor(6) as pool:
            codes = list(pool.map(
                lambda item: self.nodes[item[0] % len(self.nodes)].post(item[1]), enumerate(transactions)))
        return ['{}: {}'.format(tx['id'], code) for tx, code in zip(transactions, codes) if code != 202]

    def all_valid(self, ids, seconds=PATIENCE):
        """Waits until the transactions are valid at every node."""
        # Those of this project first: asking slows the others down.
        for node in sorted(self.nodes, key=lambda node: node.kind, reverse=True):
            open_ids = list(ids)
            began, total = time.monotonic(), len(open_ids)

            found = Counter()

            def none_open():
                with ThreadPoolExecutor(4) as pool:
                    statuses = list(pool.map(lambda tx: node.status(transaction_id=tx), open_ids))
                found.clear()
                found.update(statuses)
                open_ids[:] = [tx for tx, status in zip(open_ids, statuses) if status != 'valid']
                return not open_ids
            try:
                wait_until('all are valid', seconds, none_open)
            except AssertionError as error:
                raise AssertionError('{} at {}: of {} there are still {}, such as {}'.format(
                    error, node.name, total, dict(found), open_ids[0]))
            took = time.monotonic() - began
            print('    {} valid at {} after {:.1f} s more'.format(total, node.name, took), flush=True)

    def blocks(self):
        """Without the first."""
        found = self.tables.bigchain.find({}, {'_id': 0})
        return [block for block in found if block['block']['transactions'][0]['operation'] != 'GENESIS']

    def makers(self):
        """By transaction, the public key of the node that put it into a valid block."""
        return {tx['id']: block['block']['node_pubkey'] for block in self.blocks()
                for tx in block['block']['transactions']}

    def kind_of(self, public_key):
        return next(node.kind for node in self.nodes if node.key.public == public_key)


def equal(found, wanted, what):
    assert found == wanted, '{}: {!r}, not {!r}'.format(what, found, wanted)


def run(checks, program, server, folder):
    """Runs the functions whose names begin with `check_`, in their order; the exit code."""
    checks = [check for name, check in list(checks.items()) if name.startswith('check_')]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print('==> INTEROP_SEED={}'.format(SEED), flush=True)
    passed, failed = 0, 0
    try:
        f = Federation(program, server, folder)
        for check in checks:
            name = check.__name__[len('check_'):].replace('_', ' ')
            began = time.monotonic()
            try:
                check(f)
            except Exception as error:
                failed += 1
                print('FAILED {}: {}: {}'.format(name, type(error).__name__, str(error)[:3000]), flush=True)
            else:
                passed += 1
                print('ok {} ({:.1f} s)'.format(name, time.monotonic() - began), flush=True)
    finally:
        stop_all()
        if failed or passed < len(checks):
            for process in Process.started:
                print('==> The last lines of {}:'.format(process.name))
                print('\n'.join(process.said().splitlines()[-30:]))
    print('{} passed, {} failed, 0 skipped'.format(passed, failed), flush=True)
    return 1 if failed else 0
