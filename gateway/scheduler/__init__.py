"""The scheduler room: what is delivered when, over which transport, how many at a time.

Owns routing, the active queue, per-destination concurrency feedback, back-off and fairness, and the control socket
``public/qmgr``. Never speaks SMTP, never changes content. Source: qmgr(8), SCHEDULER_README, trivial-rewrite(8).
"""

from gateway.scheduler.control import ControlServer
from gateway.scheduler.route import Route
from gateway.scheduler.router import Router
from gateway.scheduler.scheduler import Scheduler

__all__ = ["ControlServer", "Route", "Router", "Scheduler"]
