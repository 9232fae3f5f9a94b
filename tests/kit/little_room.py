"""Cores of which little lies on the chip, as if a board had no more room."""

from gen.plan.plan import make_plan, plan_on

__all__ = ["leave_room"]


def leave_room(patch, room):
    """Let `generate` leave so much ``room`` on the chip, whatever the board has; ``patch``: pytest's monkeypatch."""
    def placed(network, lanes, target, **form):
        return plan_on(network, make_plan(network, lanes, room=room, **form).params)

    patch.setattr("gen.plan.candidate.placed_plan", placed)
