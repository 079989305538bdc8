"""The function of the round-trip fixtures: answers with what it got."""

from lib.shape import shape


def handle(event, context):
    return {"shape": shape(event)}
