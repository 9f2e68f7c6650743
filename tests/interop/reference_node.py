"""The command `bigchaindb` of BigchainDB Server 1.0.1 against the test server of the MongoDB protocol.

usage: reference_node.py LOG_PORT ARGUMENT...   (the arguments are those of `bigchaindb`)

The test server differs from the MongoDB 3.4 that 1.0.1 was written for:

- `getCmdLineOpts` and `getLog` do not tell of a replica set, so it is not asked whether there is one;
- it has no text index;
- `local.oplog.rs` cannot be tailed, so what is new comes from change streams, in the form of the oplog's entries.

Everything else is 1.0.1 as it was published: its rules, pipelines, queries and documents.
"""
import logging.handlers
import sys
import time

# 1.0.1 sends its log records to one fixed port, which two nodes on one machine cannot share. Read at import.
logging.handlers.DEFAULT_TCP_LOGGING_PORT = int(sys.argv.pop(1))

import pymongo.errors  # noqa: E402
from bigchaindb import backend  # noqa: E402
from bigchaindb.backend.mongodb import changefeed, connection, query, schema  # noqa: E402
from bigchaindb.commands.bigchaindb import main  # noqa: E402


def only_ids_of_assets(conn, dbname):
    conn.conn[dbname].assets.create_index('id', name='asset_id', unique=True)


def as_in_oplog(change):
    """The entry of the oplog that a change stream's event stands for; None for what 1.0.1 has no use of."""
    kind = change['operationType']
    if kind == 'insert':
        document = dict(change['fullDocument'])
        del document['_id']
        return {'op': 'i', 'o': document}
    if kind in ('update', 'replace'):
        return {'op': 'u', 'o2': change['documentKey']}
    if kind == 'delete':
        return {'op': 'd', 'o': change['documentKey']}
    return None


def entries(conn, table, since):
    """What is written to a collection from a time of the oplog on, for ever."""
    place = {} if since is None else {'start_at_operation_time': since}
    while True:
        try:
            # Connects anew: the feed runs in another process than the one that made the connection.
            conn._conn = None
            with conn.conn[conn.dbname][table].watch(**place) as stream:
                # Read by whoever waits for the node: what is written before this is not seen by it.
                print('feed of {} is open'.format(table), flush=True)
                for change in stream:
                    place = {'resume_after': change['_id']}
                    entry = as_in_oplog(change)
                    # A stream begins with what was written at the time; 1.0.1 reads what was written after it.
                    if entry and change['clusterTime'] != since:
                        yield entry
        except pymongo.errors.ConnectionFailure as error:
            print('feed of {} was cut off: {}'.format(table, error), flush=True)
            time.sleep(1)


def blocks_after(conn, block_id):
    """Blocks written after this one."""
    found = conn.conn.local['oplog.rs'].find({'ns': conn.dbname + '.bigchain', 'op': 'i', 'o.id': block_id})
    times = [entry['ts'] for entry in found]
    for entry in entries(conn, 'bigchain', max(times) if times else None):
        if entry['op'] == 'i':
            yield entry['o']


connection._check_replica_set = lambda conn: None
connection._wait_for_replica_set_initialization = lambda conn: None
schema.create_assets_secondary_index = only_ids_of_assets
changefeed.run_changefeed = entries
query.run_changefeed = entries
backend.query.get_new_blocks_feed.register(connection.MongoDBConnection, blocks_after)

if __name__ == '__main__':
    main()
