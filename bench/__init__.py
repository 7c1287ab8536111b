"""Measurements, run by hand: one program per question, with peers and floors in the same run.

    python -m bench                    every question, as one page of tables
    python -m bench.creates --quick    one question, roughly

Absolute times say more about a machine than about a program, so every figure stands beside a floor
or a peer that was measured in turn with it, and the ratio is what counts. Nothing here is imported
by the product. docs/explanation/performance.md says how to read the tables.
"""
