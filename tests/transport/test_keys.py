"""Where the messages are: keys with a prefix, behind a password, behind TLS."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Queue
from kombu.exceptions import OperationalError

from jobmonitor.transport.keys import base_of
from tests.brokers import redis_of
from tests.transport.between import between, self_signed
from tests.transport.conversation import Conversation, Listener, size, take, take_all
from tests.waiting import eventually


@pytest.fixture
def emptied(fair_talk: Conversation) -> Conversation:
    """kombu on a server on which there is no key."""
    fair_talk.redis.flushdb()
    return fair_talk


def test_every_key_on_the_server_has_the_global_prefix(emptied: Conversation) -> None:
    emptied.quicken()
    prefix = emptied.options["global_keyprefix"]
    queue = emptied.queue()
    emptied.say(queue, 1, 2, 3)
    emptied.say(queue, 4, priority=9)
    emptied.say(queue, 5, headers={"eta": "2999-01-01T00:00:00+00:00"})
    listener = Listener(emptied, queue, prefetch=2, answer=None)
    listener.hears(2)
    emptied.hears_beats(queue, 2)
    listener.messages[0].requeue()
    keys = {key.decode() for key in emptied.redis.keys("*")}
    assert {key for key in keys if queue.name in key and not key.startswith(prefix)} == set()
    assert {key for key in keys if key.startswith(("_kombu", "unacked"))} == set()
    assert {"ring", "due", "due_messages", "meta", "cons", "low:fresh"} <= set(
        emptied.names_of(queue)
    )


def test_two_prefixes_on_one_server_do_not_see_each_other(emptied: Conversation) -> None:
    names = {prefix: Conversation(emptied.url, global_keyprefix=prefix) for prefix in "ab"}
    queue = names["a"].queue()
    queue(names["b"].connect().default_channel).declare()
    names["a"].say(queue, "for a")
    listener = Listener(names["b"], queue, answer=None)
    assert listener.hears_nothing_more(0) == []
    names["b"].say(queue, "for b")
    assert listener.hears(1) == ["for b"]
    assert (size(names["a"], queue), take_all(names["a"], queue)) == (1, ["for a"])
    queue(names["a"].connect().default_channel).delete()
    assert names["b"].leases(queue) == 1
    for conversation in names.values():
        conversation.close()


def test_a_waiting_consumer_with_a_prefix_is_woken_by_a_message_and_by_a_reply(
    emptied: Conversation,
) -> None:
    emptied.options["global_keyprefix"] = "woken:"
    queue = emptied.queue()
    reply = Queue(f"{queue.name}.reply.celery.pidbox", queue.exchange, "reply")
    reply(emptied.connect().default_channel).declare()
    listener = Listener(emptied, queue, reply)
    listener.listen()
    emptied.say(queue, "job")
    assert listener.hears(1) == ["job"]
    listener.listen()
    emptied.say(reply, "reply")
    assert listener.hears(2) == ["job", "reply"]


@pytest.mark.parametrize("name", ["{a}", "a{b", "a}b", "%7Ba}", "a b:c*", "ünï", "x" * 500])
def test_a_queue_of_any_name_has_keys_of_its_own_in_one_slot(
    fair_talk: Conversation, name: str
) -> None:
    queue = Queue(f"{name}-{fair_talk.queue().name}", routing_key=name)
    base = base_of("", queue.name)
    fair_talk.connect().default_channel.queue_declare(queue.name)
    channel = fair_talk.connect().default_channel
    channel.basic_publish(channel.prepare_message("x"), exchange="", routing_key=queue.name)
    message = channel.basic_get(queue.name)
    assert message.payload == "x"
    message.ack()
    keys = [key for key in fair_talk.redis.scan_iter() if key.startswith(base.encode())]
    assert len(keys) >= 2
    tags = {key[key.index(b"{") + 1 : key.index(b"}")] for key in keys}  # as a Cluster reads
    assert tags == {base[base.index("{") + 1 : base.index("}")].encode()}
    assert len(tags) == 1 and tags != {b""}


# -- passwords and TLS -------------------------------------------------------------------------


@pytest.fixture
def alice(fair_talk: Conversation) -> Iterator[Conversation]:
    """kombu as a user whose password must be quoted in the URL."""
    fair_talk.redis.acl_setuser(
        "alice", enabled=True, passwords=["+p@ss/w:rd"], keys=["*"], channels=["*"],
        commands=["+@all"],
    )  # fmt: skip
    at = fair_talk.url.index("@")
    conversation = Conversation(f"fair-redis://alice:p%40ss%2Fw%3Ard{fair_talk.url[at:]}")
    yield conversation
    conversation.close()
    fair_talk.redis.acl_deluser("alice")


def test_a_user_with_a_password_publishes_consumes_and_beats(alice: Conversation) -> None:
    alice.quicken()
    queue = alice.queue()
    alice.say(queue, 1, 2)
    listener = Listener(alice, queue, prefetch=1, answer=None)
    listener.hears(1)
    alice.hears_beats(queue, 2)
    listener.messages[0].ack()
    assert listener.hears(2) == [1, 2]
    users = {client["user"] for client in alice.redis.client_list()}
    assert users == {"alice", "default"} or users == {"alice"}


def test_a_wrong_password_is_refused_in_words(fair_talk: Conversation) -> None:
    at = fair_talk.url.index("@")
    stranger = Conversation(f"fair-redis://:wrong{fair_talk.url[at:]}")
    with pytest.raises((redis.AuthenticationError, OperationalError), match="password"):
        stranger.connect().channel()
    stranger.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    return self_signed(tmp_path_factory.mktemp("tls"))


def test_messages_and_beats_go_through_tls_to_a_server_whose_certificate_is_known(
    fair_talk: Conversation, certificate: Path
) -> None:
    with between(fair_talk.url, certificate) as tls:
        secret = Conversation(
            f"{tls.url.replace('fair-redis', 'fair-rediss')}?ssl_ca_certs={certificate}"
        )
        secret.redis = redis.Redis.from_url(redis_of(fair_talk.url))
        secret.quicken()
        queue = secret.queue()
        secret.say(queue, 1, 2)
        listener = Listener(secret, queue, prefetch=1, answer=None)
        listener.hears(1)
        secret.hears_beats(queue, 2)
        listener.messages[0].ack()
        assert listener.hears(2) == [1, 2]
        assert isinstance(listener.channel.client.connection._sock, ssl.SSLSocket)
        message = take(secret, queue)
        assert message is None
        secret.close()


def test_a_server_whose_certificate_nobody_vouches_for_is_refused(
    fair_talk: Conversation, certificate: Path
) -> None:
    with between(fair_talk.url, certificate) as tls:
        trusting = Conversation(tls.url.replace("fair-redis", "fair-rediss"))
        trusting.redis = redis.Redis.from_url(redis_of(fair_talk.url))
        with pytest.raises((redis.ConnectionError, OperationalError), match=r"(?i)certificate"):
            trusting.connect().channel()
        trusting.close()


def test_an_acl_user_who_may_not_run_scripts_hears_it(fair_talk: Conversation) -> None:
    fair_talk.redis.acl_setuser(
        "bob", enabled=True, passwords=["+bob"], keys=["*"], channels=["*"],
        commands=["+@all", "-@scripting"],
    )  # fmt: skip
    at = fair_talk.url.index("@")
    bob = Conversation(f"fair-redis://bob:bob{fair_talk.url[at:]}")
    queue = bob.queue()
    with pytest.raises((redis.exceptions.NoPermissionError, OperationalError), match="fcall"):
        bob.say(queue, 1)
    bob.close()
    eventually(lambda: fair_talk.redis.acl_deluser("bob"), says="bob is gone")
