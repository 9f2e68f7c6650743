"""usage: bench_reference.py BIGCHAINDB DATABASE_SERVER FOLDER

The same load on a node of this project and then on one of BigchainDB Server 1.0.1, each alone on a database server that
syncs every commit; prints one table. BENCH_TRANSACTIONS, REFERENCE_TRANSACTIONS: CREATEs for each.
"""
import json
import os
import random
import signal
import subprocess
import sys
import threading

from nodes import Database, Key, PythonNode, stop_all

OURS = int(os.environ['BENCH_TRANSACTIONS'])
REFERENCE = int(os.environ['REFERENCE_TRANSACTIONS'])


def bench(program, folder, *arguments):
    command = [program, 'bench', '--json', '--quiet'] + list(arguments)
    # Nothing of the caller's environment, which may configure a node.
    environment = {'PATH': os.environ['PATH'], 'HOME': folder, 'TMPDIR': folder}
    ran = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True, env=environment, cwd=folder)
    report = json.loads(ran.stdout) if ran.stdout else {}
    if ran.returncode:
        sys.exit('not all became valid, or nothing was measured: {}'.format(report))
    return report


class Memory:
    """The most that processes took at a time, bytes: proportional set sizes, as workers share most of theirs."""
    def __init__(self, node, database):
        self.node, self.database = node, database
        self.peak = [0, 0]
        self.count = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    @staticmethod
    def of(pid):
        try:
            with open('/proc/{}/smaps_rollup'.format(pid)) as file:
                return next(int(line.split()[1]) * 1024 for line in file if line.startswith('Pss:'))
        except (OSError, StopIteration):
            return 0

    def run(self):
        while not self.stopped.wait(0.5):
            found = [self.of(pid) for pid in self.group()]
            self.count = max(self.count, len(found))
            now = [sum(found), self.of(self.database.process.pid)]
            self.peak = [max(pair) for pair in zip(self.peak, now)]

    def group(self):
        """Processes of the node: each is started in a group of its own."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                if os.getpgid(int(pid)) == self.node.process.pid:
                    yield pid
            except OSError:
                pass

    def stop(self):
        self.stopped.set()
        self.thread.join()
        return self.peak


def reference(program, server, folder):
    database = Database(folder, server)
    node = PythonNode(folder, 'reference', Key(random.Random()), [], database).ready()
    memory = Memory(node, database)
    report = bench(program, folder, '--url', node.url, '--count', str(REFERENCE), '--patience', '60')
    report['memory_peak'], report['server_memory_peak'] = memory.stop()
    report['processes'] = memory.count
    stop_all()
    return report


def row(name, theirs, ours, unit='{:,.0f}', more_is_better=False):
    def text(value):
        return unit.format(value) if value else 'not measured'
    known = theirs and ours
    ratio = '{:,.1f}'.format(ours / theirs if more_is_better else theirs / ours) if known else ''
    print('| {} | {} | {} | {} |'.format(name, text(theirs), text(ours), ratio))


def table(theirs, ours):
    print('{:,} CREATEs on 1.0.1, {:,} on this node, {} connections, as fast as possible, in one run on {} cores.'
          .format(theirs['count'], ours['count'], ours['connections'], ours['cores']))
    print('Memory of 1.0.1: {} processes, proportional set size; of this node: resident.\n'.format(theirs['processes']))
    print('| | 1.0.1 | this node | ratio |\n|---|---|---|---|')
    row('accepted, a second', theirs['accepted_per_second'], ours['accepted_per_second'], more_is_better=True)
    row('valid from end to end, a second', theirs['valid_per_second'], ours['valid_per_second'], more_is_better=True)
    for name, times in (('POST to 202', 'post_to_accepted_ms'), ('POST to valid', 'post_to_valid_ms'),
                        ('GET by id', 'get_by_id_ms')):
        for quantile in ('p50', 'p95', 'p99'):
            row('{}, {}'.format(name, quantile), theirs[times][quantile], ours[times][quantile], '{:,.1f} ms')
    for name, key in (('memory of the node, peak', 'memory_peak'),
                      ('memory of the database server, peak', 'server_memory_peak')):
        row(name, theirs[key] / 2**20, ours[key] / 2**20, '{:,.0f} MB')
    row('commands to the database for a transaction', None, ours['commands_per_transaction'], '{:.3f}')
    row('commands to the database for a block', None, ours['commands_per_block'], '{:.1f}')
    for name, report in (('1.0.1', theirs), ('this node', ours)):
        others = report['other_processes_share']
        if others and others > 0.05:
            print('\nOther processes took {:.0f} % of this machine while {} was measured.'.format(100 * others, name))


def main(program, server, folder):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        print('==> This node: {:,} CREATEs'.format(OURS), flush=True)
        ours = bench(program, folder, '--backend', 'mongodb', '--mongod', server, '--count', str(OURS))
        print('==> BigchainDB Server 1.0.1: {:,} CREATEs'.format(REFERENCE), flush=True)
        table(reference(program, server, folder), ours)
    finally:
        stop_all()


if __name__ == '__main__':
    main(*sys.argv[1:])
