#!/usr/bin/env python3
"""Module doc."""
import os.path
import numpy as np
from typing import List, Dict as D

LIMIT = 10

# A shape.
@dataclass
class Shape(Base):
    """A closed figure."""
    sides: int = 3

    def area(self, x: int) -> float:
        """Its area."""
        def inner():
            return helper(x)
        return self.compute(inner())


def main():
    s = Shape()
    print(s.area(1))

main()
