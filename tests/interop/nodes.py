"""Starts and stops what a federation is made of: a server of the MongoDB protocol, nodes of BigchainDB Server 1.0.1,
nodes of this project. Everything listens on loopback and keeps its files in one folder."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import base58
import requests
from cryptoconditions.crypto import Ed25519SigningKey

HERE = os.path.dirname(os.path.abspath(__file__))
DATABASE = 'bigchain'
# The set that the test server says it belongs to.
REPLICA_SET = 'secantus'


def wait_until(what, seconds, condition):
    """The first true value of the condition. How often it is asked bounds only how soon the answer is known."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError('after {} s still not: {}'.format(seconds, what))
        time.sleep(0.05)


def free_port():
    """For 1.0.1, which cannot tell which port the system gave it."""
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Key:
    def __init__(self, random):
        self.private = base58.b58encode(bytes(random.getrandbits(8) for _ in range(32)))
        self.public = Ed25519SigningKey(self.private).get_verifying_key().encode().decode()


class Process:
    """A program in a process group of its own, which ends as a whole."""
    running = []
    # For their consoles, at the end.
    started = []

    def __init__(self, folder, name, command, environment):
        self.name = name
        self.folder = os.path.join(folder, name)
        os.makedirs(self.folder, exist_ok=True)
        self.console = os.path.join(self.folder, 'console')
        # Nothing else of the caller's environment, which may configure a node.
        self.environment = dict(environment, PATH=os.environ['PATH'], HOME=self.folder)
        with open(self.console, 'wb') as console:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                env=self.environment, start_new_session=True)
        Process.running.append(self)
        Process.started.append(self)

    def said(self):
        with open(self.console, errors='replace') as console:
            return console.read()

    def says(self, pattern, seconds=60):
        """Waits for a line; fails if the program ends first."""
        def found():
            match = re.search(pattern, self.said())
            assert match or self.process.poll() is None, '{} ended: {}'.format(self.name, self.said()[-2000:])
            return match
        return wait_until('{} says `{}`'.format(self.name, pattern), seconds, found)

    def _signal(self, number):
        """Whether anybody of the group is still there."""
        # A process that ended counts as one of its group until it is waited for.
        self.process.poll()
        try:
            os.killpg(self.process.pid, number)
            return True
        except ProcessLookupError:
            return False

    def stop(self, number=signal.SIGTERM, seconds=20):
        """Sends the signal to the whole group and waits until nobody of it is left. The exit code of the first."""
        self._signal(number)
        deadline = time.monotonic() + seconds
        while self._signal(0):
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
            time.sleep(0.02)
        Process.running.remove(self)
        return self.process.wait()


def stop_all():
    for process in reversed(list(Process.running)):
        process.stop()


class Database(Process):
    def __init__(self, folder, program):
        super().__init__(folder, 'database', [
            program, '--host', '127.0.0.1', '--port', '0', '--storage-path', 'data',
            # Else what it confirmed as journaled may be lost when it is killed.
            '--sync-on-commit',
            # The defaults take 4 GB of memory and 128 MB of disk for an empty store.
            '--cache-size', '256M', '--log-file-max', '32MB'], {})
        self.port = int(self.says(r'listening on \S*:(\d+)').group(1))


class Node(Process):
    """What both kinds have in common: the HTTP API."""
    # After so many seconds a transaction whose node sleeps is given to another.
    reassign_delay = 120

    def get(self, path, **parameters):
        """Status and body."""
        answer = requests.get(self.url + path, params=parameters, timeout=30)
        return answer.status_code, answer.text

    def post(self, transaction):
        """The status of the answer; None: no answer, so it may or may not be accepted."""
        try:
            answer = requests.post(self.url + '/api/v1/transactions/', json=transaction, timeout=30)
        except requests.exceptions.RequestException:
            return None
        return answer.status_code

    def status(self, **parameters):
        code, body = self.get('/api/v1/statuses', **parameters)
        return json.loads(body)['status'] if code == 200 else None


class PythonNode(Node):
    kind = 'Python'

    def __init__(self, folder, name, key, others, database):
        api, stream, log = free_port(), free_port(), free_port()
        path = os.path.join(folder, name + '.json')
        settings = {
            # More workers than this starve the pipelines of a small machine.
            'server': {'bind': '127.0.0.1:{}'.format(api), 'loglevel': 'info', 'workers': 2},
            'wsserver': {'scheme': 'ws', 'host': '127.0.0.1', 'port': stream},
            'database': {
                'backend': 'mongodb', 'host': '127.0.0.1', 'port': database.port, 'name': DATABASE,
                'replicaset': REPLICA_SET, 'connection_timeout': 5000, 'max_tries': 3},
            'backlog_reassign_delay': self.reassign_delay,
            'keypair': {'public': key.public, 'private': key.private},
            'keyring': [other.public for other in others],
            'log': {'file': os.path.join(folder, name, 'log'), 'error_file': os.path.join(folder, name, 'errors')},
        }
        with open(path, 'w') as file:
            json.dump(settings, file)
        super().__init__(
            folder, name, [sys.executable, os.path.join(HERE, 'reference_node.py'), str(log), '-c', path, 'start'],
            # Chooses which settings there are, before the file is read.
            {'BIGCHAINDB_DATABASE_BACKEND': 'mongodb'})
        self.key = key
        self.url = 'http://127.0.0.1:{}'.format(api)

    def ready(self):
        # It reads nothing of what was written to the backlog before.
        for table in ('backlog', 'bigchain', 'votes'):
            self.says('feed of {} is open'.format(table))
        wait_until(self.name + ' answers', 60, self.answers)
        return self

    def answers(self):
        try:
            return self.get('/')[0] == 200
        except requests.exceptions.RequestException:
            return False


class RustNode(Node):
    kind = 'Rust'
    program = None

    def __init__(self, folder, name, key, others, database):
        environment = {
            'BIGCHAINDB_CONFIG_PATH': os.path.join(folder, 'no-file'),
            'BIGCHAINDB_DATABASE_BACKEND': 'mongodb',
            'BIGCHAINDB_DATABASE_HOST': '127.0.0.1',
            'BIGCHAINDB_DATABASE_PORT': str(database.port),
            'BIGCHAINDB_DATABASE_NAME': DATABASE,
            'BIGCHAINDB_DATABASE_REPLICASET': REPLICA_SET,
            'BIGCHAINDB_KEYPAIR_PUBLIC': key.public,
            'BIGCHAINDB_KEYPAIR_PRIVATE': key.private,
            'BIGCHAINDB_KEYRING': ':'.join(other.public for other in others),
            'BIGCHAINDB_SERVER_BIND': '127.0.0.1:0',
            'BIGCHAINDB_WSSERVER_HOST': '127.0.0.1',
            'BIGCHAINDB_WSSERVER_PORT': '0',
            'BIGCHAINDB_BACKLOG_REASSIGN_DELAY': str(self.reassign_delay),
            'BIGCHAINDB_LOG_FILE': os.path.join(folder, name, 'log'),
            'BIGCHAINDB_LOG_ERROR_FILE': os.path.join(folder, name, 'errors'),
        }
        super().__init__(folder, name, [self.program, 'start', '--no-init'], environment)
        self.key = key

    def ready(self):
        found = self.says(r'Listening to client connections on: (?:http://)?([0-9.]+:[0-9]+)')
        self.url = 'http://' + found.group(1)
        return self

    def errors(self):
        """What it logged as an error, but for requests that it refused."""
        path = os.path.join(self.folder, 'errors')
        if not os.path.exists(path):
            return []
        with open(path, errors='replace') as errors:
            return [line for line in errors.read().splitlines() if 'HTTP API error: 4' not in line]

    def command(self, *arguments):
        """Another command of the program, with the same configuration."""
        return subprocess.run(
            [self.program] + list(arguments), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=120)
