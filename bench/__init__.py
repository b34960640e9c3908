"""Side-by-side benchmarks of Postgate and Debian's Postfix, on one machine, in one run.

One file a part (:mod:`bench.relay`, :mod:`bench.reject`, :mod:`bench.idle`, :mod:`bench.big`, :mod:`bench.million`,
:mod:`bench.concurrency`); :mod:`bench.rig` starts and measures both mail systems, :mod:`bench.report` prints, plots and
keeps the results. Loopback only, bounded counts. See ``docs/bench.md``.
"""
