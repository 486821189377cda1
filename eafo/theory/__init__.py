"""The mathematics: the entropy functional, its variation, the worst activation and the correction. No torch in here.

`variation` derives the Euler–Lagrange expression, the first integral and the Legendre condition for a general law;
`worst` solves the first integral under bounds; `correction` finds the direction η; `entropy` gives the values that check
them, by quadrature.
"""
