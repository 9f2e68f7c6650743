"""Ed25519 verdicts of the ledger crate against libsodium's, on mutated signatures.

usage: compare.py VERDICTS CASES [SEED]   (VERDICTS: the built example `verdicts` of the ledger crate)

Every case starts from a recorded edge case or an honest signature and gets up to three edits. PyNaCl 1.5.0 carries
libsodium 1.0.18, the version that BigchainDB Server 1.0.1's verdicts come from.
"""

import json
import pathlib
import random
import subprocess
import sys

import nacl.bindings
import nacl.exceptions

DATA = pathlib.Path(__file__).resolve().parents[2] / "node" / "ledger" / "tests" / "data" / "ed25519.json"
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
BATCH = 50_000


def recorded():
    cases = json.loads(DATA.read_text())
    cases = cases if isinstance(cases, list) else cases["cases"]
    fields = ("public_key", "signature", "message")
    return [tuple(bytes.fromhex(case[field]) for field in fields) for case in cases]


def honest(rng):
    public, secret = nacl.bindings.crypto_sign_seed_keypair(rng.randbytes(32))
    message = rng.randbytes(rng.choice((0, 1, 32, 200)))
    return public, nacl.bindings.crypto_sign(message, secret)[:64], message


def flip(rng, data):
    if not data:
        return b"\x00"
    changed = bytearray(data)
    changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def shifted(rng, data, modulus):
    """The same residue, written otherwise, where it has room in 32 bytes."""
    value = int.from_bytes(data, "little") + rng.choice((-1, 1, 2, 8)) * modulus
    return value.to_bytes(32, "little") if 0 <= value < 2**256 else data


def edit(rng, case, others):
    public, signature, message = case
    r, s = signature[:32], signature[32:]
    other = rng.choice(others)
    kind = rng.randrange(9)
    if kind == 0:
        public = flip(rng, public)
    elif kind == 1:
        r = flip(rng, r)
    elif kind == 2:
        s = flip(rng, s)
    elif kind == 3:
        message = flip(rng, message)
    elif kind == 4:
        public = other[0]
    elif kind == 5:
        r = other[1][:32]
    elif kind == 6:
        s = other[1][32:]
    elif kind == 7:
        s = shifted(rng, s, ORDER)
    elif rng.random() < 0.5:
        public = shifted(rng, public, PRIME)
    else:
        r = shifted(rng, r, PRIME)
    return public, r + s, message


def libsodium(case):
    public, signature, message = case
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
        return True
    except nacl.exceptions.BadSignatureError:
        return False


def main():
    program, wanted = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.SystemRandom().randrange(2**32)
    print(f"{wanted} signatures, seed {seed}")
    rng = random.Random(seed)
    edge_cases = recorded()
    done = good = differing = 0
    while done < wanted:
        cases = []
        for _ in range(min(BATCH, wanted - done)):
            case = honest(rng) if rng.random() < 0.3 else rng.choice(edge_cases)
            for _ in range(rng.randrange(4)):
                case = edit(rng, case, edge_cases)
            cases.append(case)
        packed = b"".join(k + s + len(m).to_bytes(2, "big") + m for k, s, m in cases)
        ours = subprocess.run([program], input=packed, stdout=subprocess.PIPE, check=True).stdout
        assert len(ours) == len(cases), "the program did not answer every case"
        for case, verdict in zip(cases, ours):
            theirs = libsodium(case)
            good += theirs
            if theirs != (verdict == ord("1")):
                differing += 1
                print("DIFFERS: libsodium says", theirs, *(part.hex() for part in case))
        done += len(cases)
        print(f"{done} judged, {good} of them good, {differing} verdicts differ", flush=True)
    assert good > wanted // 100, "hardly any good signature: this compares nothing"
    return differing > 0


if __name__ == "__main__":
    sys.exit(main())
