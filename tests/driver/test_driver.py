"""The real Python driver, bigchaindb_driver 0.4.1, against a running node: BIGCHAINDB_URL.

Transactions are made, signed and sent by the driver alone, except where it cannot: it signs a threshold condition only
when it has every key, so the 2-of-3 spend is put together from the same library's conditions.
"""

import os
import time
import unittest

from bigchaindb.common.transaction import Output, Transaction
from bigchaindb_driver import BigchainDB
from bigchaindb_driver.crypto import generate_keypair
from bigchaindb_driver.exceptions import BadRequest, MissingPrivateKeyError, NotFoundError
from cryptoconditions import Ed25519Sha256, Fulfillment, ThresholdSha256
import base58
import requests

URL = os.environ["BIGCHAINDB_URL"]
# The original decides a block about a second after the last transaction came in.
PATIENCE_SECONDS = 30


def spend(transaction, *indices):
    """The driver's form of inputs that spend these outputs of a transaction."""
    return [
        {
            "fulfillment": transaction["outputs"][index]["condition"]["details"],
            "fulfills": {"transaction_id": transaction["id"], "output_index": index},
            "owners_before": transaction["outputs"][index]["public_keys"],
        }
        for index in indices
    ]


def owned(transaction, index=0):
    return {"transaction_id": transaction["id"], "output_index": index}


class DriverTest(unittest.TestCase):
    def setUp(self):
        self.node = BigchainDB(URL)
        self.alice, self.bob, self.carol = generate_keypair(), generate_keypair(), generate_keypair()

    def send(self, prepared, *keypairs):
        signed = self.node.transactions.fulfill(prepared, private_keys=[k.private_key for k in keypairs])
        self.assertEqual(self.node.transactions.send(signed), signed)
        return signed

    def wait_until_valid(self, transaction):
        deadline = time.monotonic() + PATIENCE_SECONDS
        seen = None
        while time.monotonic() < deadline:
            seen = self.node.transactions.status(transaction["id"])["status"]
            if seen == "valid":
                return transaction
            self.assertIn(seen, ("backlog", "undecided"))
            time.sleep(0.02)
        self.fail("%s is still %s after %d s" % (transaction["id"], seen, PATIENCE_SECONDS))

    def create(self, owner, data=None, recipients=None, metadata=None):
        prepared = self.node.transactions.prepare(
            operation="CREATE",
            signers=owner.public_key,
            recipients=recipients,
            asset={"data": data or {"bicycle": {"serial_number": "abcd1234"}}},
            metadata=metadata,
        )
        return self.wait_until_valid(self.send(prepared, owner))

    def prepare_transfer(self, asset, inputs, recipients, metadata=None):
        return self.node.transactions.prepare(
            operation="TRANSFER", asset={"id": asset["id"]}, inputs=inputs, recipients=recipients, metadata=metadata
        )


class Transactions(DriverTest):
    def test_create_is_valid_and_comes_back_as_it_was_sent(self):
        sent = self.create(self.alice, {"name": "Fahrrad — 自転車", "weight": 12.5, "gears": [1, 2]}, metadata={"n": 1})
        self.assertEqual(self.node.transactions.retrieve(sent["id"]), sent)
        self.assertEqual(self.node.transactions.get(asset_id=sent["id"]), [sent])

    def test_transfer_moves_the_asset(self):
        asset = self.create(self.alice)
        moved = self.send(self.prepare_transfer(asset, spend(asset, 0), self.bob.public_key), self.alice)
        self.wait_until_valid(moved)
        listed = self.node.transactions.get(asset_id=asset["id"])
        self.assertEqual(sorted(tx["operation"] for tx in listed), ["CREATE", "TRANSFER"])
        self.assertEqual(self.node.transactions.get(asset_id=asset["id"], operation="TRANSFER"), [moved])

    def test_chain_of_transfers_ends_with_the_last_owner(self):
        asset = self.create(self.alice)
        to_bob = self.prepare_transfer(asset, spend(asset, 0), self.bob.public_key, metadata={"step": 1})
        to_bob = self.wait_until_valid(self.send(to_bob, self.alice))
        to_carol = self.prepare_transfer(asset, spend(to_bob, 0), self.carol.public_key, metadata={"step": 2})
        to_carol = self.wait_until_valid(self.send(to_carol, self.bob))
        self.assertEqual(self.node.outputs.get(self.carol.public_key, spent=False), [owned(to_carol)])
        self.assertEqual(self.node.outputs.get(self.bob.public_key, spent=False), [])

    def test_unknown_transaction_is_not_found(self):
        with self.assertRaises(NotFoundError):
            self.node.transactions.retrieve("0" * 64)
        with self.assertRaises(NotFoundError):
            self.node.transactions.status("0" * 64)

    def test_sending_twice_is_harmless(self):
        sent = self.create(self.alice)
        self.assertEqual(self.node.transactions.send(sent), sent)
        self.assertEqual(self.node.transactions.status(sent["id"])["status"], "valid")


class Refusals(DriverTest):
    def refused(self, transaction, error):
        with self.assertRaises(BadRequest) as caught:
            self.node.transactions.send(transaction)
        self.assertIn("(%s)" % error, caught.exception.info["message"])

    def test_double_spend(self):
        asset = self.create(self.alice)
        self.wait_until_valid(self.send(self.prepare_transfer(asset, spend(asset, 0), self.bob.public_key), self.alice))
        again = self.prepare_transfer(asset, spend(asset, 0), self.carol.public_key)
        again = self.node.transactions.fulfill(again, private_keys=self.alice.private_key)
        self.refused(again, "DoubleSpend")

    def test_changed_after_signing(self):
        asset = self.create(self.alice)
        moved = self.prepare_transfer(asset, spend(asset, 0), self.bob.public_key)
        moved = self.node.transactions.fulfill(moved, private_keys=self.alice.private_key)
        self.refused(dict(moved, metadata={"changed": True}), "InvalidHash")

    def test_wrong_key(self):
        asset = self.create(self.alice)
        inputs = spend(asset, 0)
        inputs[0]["fulfillment"] = {"type": "ed25519-sha-256", "public_key": self.bob.public_key}
        inputs[0]["owners_before"] = [self.bob.public_key]
        stolen = self.prepare_transfer(asset, inputs, self.bob.public_key)
        stolen = self.node.transactions.fulfill(stolen, private_keys=self.bob.private_key)
        with self.assertRaises(BadRequest):
            self.node.transactions.send(stolen)

    def test_input_that_does_not_exist(self):
        never_sent = self.node.transactions.prepare(signers=self.alice.public_key, asset={"data": {"x": time.time()}})
        moved = self.prepare_transfer(never_sent, spend(never_sent, 0), self.bob.public_key)
        moved = self.node.transactions.fulfill(moved, private_keys=self.alice.private_key)
        self.refused(moved, "InputDoesNotExist")

    def test_missing_private_key_is_the_drivers_matter(self):
        prepared = self.node.transactions.prepare(signers=self.alice.public_key, asset={"data": {"x": 1}})
        with self.assertRaises(MissingPrivateKeyError):
            self.node.transactions.fulfill(prepared, private_keys=self.bob.private_key)


class DivisibleAssets(DriverTest):
    def test_split_and_merge(self):
        asset = self.create(self.alice, recipients=[([self.bob.public_key], 10)])
        split = self.prepare_transfer(
            asset, spend(asset, 0), [([self.carol.public_key], 3), ([self.bob.public_key], 7)]
        )
        split = self.wait_until_valid(self.send(split, self.bob))
        self.assertEqual([output["amount"] for output in split["outputs"]], ["3", "7"])
        self.assertEqual(self.node.outputs.get(self.bob.public_key, spent=False), [owned(split, 1)])

        merged = self.prepare_transfer(asset, spend(split, 0, 1), [([self.alice.public_key], 10)])
        merged = self.wait_until_valid(self.send(merged, self.bob, self.carol))
        self.assertEqual(self.node.outputs.get(self.alice.public_key, spent=False), [owned(merged)])

    def test_amounts_must_agree(self):
        asset = self.create(self.alice, recipients=[([self.alice.public_key], 10)])
        for amount in (9, 11):
            wrong = self.prepare_transfer(asset, spend(asset, 0), [([self.bob.public_key], amount)])
            wrong = self.node.transactions.fulfill(wrong, private_keys=self.alice.private_key)
            with self.assertRaises(BadRequest) as caught:
                self.node.transactions.send(wrong)
            self.assertIn("(AmountError)", caught.exception.info["message"])


class Thresholds(DriverTest):
    def test_all_of_several_owners(self):
        owners = [self.alice.public_key, self.bob.public_key]
        asset = self.create(self.carol, recipients=[(owners, 1)])
        self.assertEqual(asset["outputs"][0]["condition"]["details"]["threshold"], 2)
        moved = self.prepare_transfer(asset, spend(asset, 0), self.carol.public_key)
        self.wait_until_valid(self.send(moved, self.alice, self.bob))

    def two_of_three(self):
        condition = ThresholdSha256(threshold=2)
        for owner in (self.alice, self.bob, self.carol):
            condition.add_subfulfillment(Ed25519Sha256(public_key=base58.b58decode(owner.public_key)))
        return condition

    def spend_two_of_three(self, asset, *signers):
        """A TRANSFER of the 2-of-3 output that carries these signatures; the other keys as bare conditions."""
        keys = [k.public_key for k in (self.alice, self.bob, self.carol)]
        body = self.prepare_transfer(asset, spend(asset, 0), self.alice.public_key)
        message = Transaction._to_str(Transaction._remove_signatures(body)).encode()
        fulfillment = ThresholdSha256(threshold=2)
        for owner in (self.alice, self.bob, self.carol):
            part = Ed25519Sha256(public_key=base58.b58decode(owner.public_key))
            if owner in signers:
                part.sign(message, base58.b58decode(owner.private_key))
                fulfillment.add_subfulfillment(part)
            else:
                fulfillment.add_subcondition(part.condition)
        body["inputs"][0]["owners_before"] = keys
        body["inputs"][0]["fulfillment"] = fulfillment.serialize_uri()
        return body

    def create_two_of_three(self):
        create = Transaction.create(
            [self.alice.public_key], [([self.alice.public_key], 1)], asset={"shared": self.alice.public_key}
        )
        keys = [k.public_key for k in (self.alice, self.bob, self.carol)]
        create.outputs = [Output(self.two_of_three(), keys, 1)]
        return self.wait_until_valid(self.send(create.to_dict(), self.alice))

    def test_two_of_three(self):
        asset = self.create_two_of_three()
        for owner in (self.alice, self.bob, self.carol):
            self.assertEqual(self.node.outputs.get(owner.public_key), [owned(asset)])
        moved = self.spend_two_of_three(asset, self.bob, self.carol)
        self.assertEqual(self.node.transactions.send(moved), moved)
        self.wait_until_valid(moved)

    def test_one_of_three_is_not_enough(self):
        asset = self.create_two_of_three()
        moved = self.spend_two_of_three(asset, self.bob, self.carol)
        whole = Fulfillment.from_uri(moved["inputs"][0]["fulfillment"])
        # One signature is turned into one of another message.
        signed = [s["body"] for s in whole.subconditions if getattr(s["body"], "signature", None)]
        signed[0].sign(b"another message", base58.b58decode(self.bob.private_key))
        moved["inputs"][0]["fulfillment"] = whole.serialize_uri()
        with self.assertRaises(BadRequest) as caught:
            self.node.transactions.send(moved)
        self.assertIn("(InvalidSignature)", caught.exception.info["message"])


class Queries(DriverTest):
    def test_outputs_by_owner_spent_and_unspent(self):
        asset = self.create(self.alice)
        self.assertEqual(self.node.outputs.get(self.alice.public_key), [owned(asset)])
        self.assertEqual(self.node.outputs.get(self.alice.public_key, spent=True), [])
        moved = self.wait_until_valid(
            self.send(self.prepare_transfer(asset, spend(asset, 0), self.bob.public_key), self.alice)
        )
        self.assertEqual(self.node.outputs.get(self.alice.public_key, spent=True), [owned(asset)])
        self.assertEqual(self.node.outputs.get(self.alice.public_key, spent=False), [])
        self.assertEqual(self.node.outputs.get(self.bob.public_key), [owned(moved)])

    def test_blocks_votes_and_statuses(self):
        asset = self.create(self.alice)
        block_ids = self.node.blocks.get(txid=asset["id"])
        self.assertEqual(self.node.blocks.get(txid=asset["id"], status="VALID"), block_ids)
        self.assertEqual(self.node.blocks.get(txid=asset["id"], status="INVALID"), [])
        (block_id,) = block_ids
        block = self.node.blocks.retrieve(block_id)
        self.assertEqual(block["id"], block_id)
        self.assertIn(asset, block["block"]["transactions"])

        me = self.node.info()["public_key"]
        votes = requests.get(URL + "/api/v1/votes", params={"block_id": block_id}).json()
        self.assertEqual([vote["node_pubkey"] for vote in votes], [me])
        self.assertTrue(votes[0]["vote"]["is_block_valid"])
        self.assertEqual(votes[0]["vote"]["voting_for_block"], block_id)
        status = requests.get(URL + "/api/v1/statuses", params={"block_id": block_id}).json()
        self.assertEqual(status, {"status": "valid"})

    def test_search_of_assets(self):
        word = "tandem" + generate_keypair().public_key.lower()
        self.create(self.alice, {"title": "a %s for two" % word, "wheels": 2})
        self.create(self.alice, {"title": "another %s" % word, "nested": {"deep": ["bell"]}})
        wait = time.monotonic() + PATIENCE_SECONDS
        found = self.node.assets.get(search=word)
        # The text index may lag behind the ledger.
        while len(found) < 2 and time.monotonic() < wait:
            time.sleep(0.05)
            found = self.node.assets.get(search=word)
        self.assertEqual(sorted(asset["data"]["title"] for asset in found), ["a %s for two" % word, "another %s" % word])
        self.assertEqual(len(self.node.assets.get(search=word, limit=1)), 1)
        self.assertEqual(self.node.assets.get(search="nothing" + word), [])

    def test_search_for_nothing_is_refused(self):
        with self.assertRaises(BadRequest):
            self.node.assets.get(search="")

    def test_node_describes_itself(self):
        info = self.node.info()
        self.assertEqual((info["software"], info["keyring"]), ("BigchainDB", []))
        advertised = self.node.api_info()
        self.assertEqual(advertised["transactions"], "/transactions/")
        self.assertTrue(advertised["streams"].startswith("ws://"), advertised["streams"])


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=2).result
    broken = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print("%d passed, %d failed, %d skipped" % (result.testsRun - broken - skipped, broken, skipped))
    raise SystemExit(not result.wasSuccessful())
