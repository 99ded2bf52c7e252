"""The best that can be reached in each textbook task, computed: the figures a learner is measured by.

One file a problem. Each has what the optimum is, and the exact value of any policy, by a linear solve, by quadrature or
by backward induction: no figure here comes from played episodes. What is compared with what: docs/known-answers.md.
"""
