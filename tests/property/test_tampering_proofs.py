"""The proof probes, judged by our verifiers: every honest proof holds, and no bent one does.

`tests/foreign` has Go judge the same ones.
"""

import pytest

from tallystick.errors import VerificationError
from tallystick.ledger.merkle import verify_consistency, verify_inclusion
from tests.vectors.proof_probes import LARGEST, Probe, consistency_probes, inclusion_probes


def holds(probe: Probe) -> bool:
    """Our verdict on one probe."""
    try:
        if probe["kind"] == "inclusion":
            verify_inclusion(
                probe["leaf"],
                probe["hashes"],
                index=probe["index"],
                size=probe["new"],
                root=probe["new_root"],
            )
        else:
            verify_consistency(
                probe["hashes"],
                old_size=probe["old"],
                new_size=probe["new"],
                old_root=probe["old_root"],
                new_root=probe["new_root"],
            )
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize("make", [inclusion_probes, consistency_probes])
def test_every_honest_proof_holds_and_no_bent_one_does(make: object) -> None:
    assert callable(make)
    probes = list(make())
    wrong = [probe for probe in probes if holds(probe) is not probe["good"]]
    assert [
        (probe["how"], probe.get("index", probe.get("old")), probe["new"]) for probe in wrong
    ] == []
    honest = sum(probe["good"] for probe in probes)
    assert honest == LARGEST * (LARGEST + 1) // 2
    assert len(probes) > 12 * honest
