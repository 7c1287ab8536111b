"""The protocol text's digest: P7.6."""

from tallystick.domain import protocol as protocols
from tallystick.domain.commands import PublishProtocol
from tallystick.domain.events import ProtocolPublished
from tallystick.domain.protocol import Publication
from tests.unit.domain.states import SHA, START, record

COMMAND = PublishProtocol(skill="wild_v2", sha256=SHA)


def test_a_new_text_is_published_and_the_same_one_is_not_published_again() -> None:
    (fact,) = protocols.decide_publish(None, COMMAND)
    assert fact.stream == "protocol:wild_v2"
    assert isinstance(fact.event, ProtocolPublished)
    state = protocols.published(record(fact.event, stream=fact.stream, seq=3), fact.event)
    assert state == Publication(id="wild_v2", sha256=SHA, published_at=START, published_seq=3)
    assert protocols.decide_publish(state, COMMAND) == []


def test_a_changed_text_is_published_again() -> None:
    old = Publication(id="wild_v2", sha256="00" * 32, published_at=1, published_seq=1)
    assert len(protocols.decide_publish(old, COMMAND)) == 1
