# SPDX-License-Identifier: Apache-2.0
"""When a request is sent, sent again, answered, overdue; with a service that the test plays."""

from __future__ import annotations

from types import SimpleNamespace

from safe_transfer_ros.middleware.operator_request import ALARM_SECONDS, ASK_AGAIN_SECONDS, Request


class Service:
    """A service as a client sees it."""

    def __init__(self, there: bool = True) -> None:
        self.there = there
        self.calls: list[SimpleNamespace] = []

    def send(self) -> SimpleNamespace | None:
        if not self.there:
            return None
        call = SimpleNamespace(answered=False, done=lambda: call.answered, result=lambda: self.answer)
        self.calls.append(call)
        return call

    def reply(self, place: int, success: bool = True, message: str = "") -> None:
        self.answer = SimpleNamespace(success=success, message=message)
        self.calls[place].answered = True


def asked(service: Service, name: str) -> Request:
    return Request(name=name, send=service.send, since=0.0, insistent=name == "trip")


def test_a_trip_is_asked_again_until_any_of_its_calls_is_answered() -> None:
    service = Service()
    trip = asked(service, "trip")
    for now in (0.0, 0.1, ASK_AGAIN_SECONDS, ASK_AGAIN_SECONDS + 0.1):
        trip.poll(now)
    assert len(service.calls) == trip.times_sent == 2
    assert trip.pending() and not trip.overdue(ALARM_SECONDS) and trip.overdue(ALARM_SECONDS + 0.01)
    service.reply(0, message="done")
    trip.poll(2.0)
    assert (trip.answered, trip.success, trip.message) == (2.0, True, "done")
    trip.poll(9.0)
    assert len(service.calls) == 2 and not trip.overdue(9.0)


def test_a_trip_waits_for_its_service_and_is_sent_the_moment_it_is_there() -> None:
    service = Service(there=False)
    trip = asked(service, "trip")
    trip.poll(0.0)
    assert trip.pending() and trip.times_sent == 0
    service.there = True
    trip.poll(0.02)
    assert len(service.calls) == 1


def test_a_trip_asked_for_hours_keeps_few_calls_and_still_takes_an_answer() -> None:
    service = Service()
    trip = asked(service, "trip")
    for place in range(10_000):
        trip.poll(place * ASK_AGAIN_SECONDS)
    assert len(trip._sent) < 50
    service.reply(-1)
    trip.poll(1e6)
    assert trip.success


def test_a_reset_is_sent_once() -> None:
    service = Service()
    reset = asked(service, "reset")
    for now in (0.0, 1.0, 10.0):
        reset.poll(now)
    assert len(service.calls) == 1
    service.reply(0, success=False, message="the cause stands")
    reset.poll(11.0)
    assert (reset.success, reset.message) == (False, "the cause stands")


def test_a_reset_is_never_sent_late() -> None:
    service = Service(there=False)
    reset = asked(service, "reset")
    reset.poll(0.0)
    service.there = True
    reset.poll(1.0)
    assert not service.calls
    assert not reset.pending() and not reset.success and "not sent" in reset.message
