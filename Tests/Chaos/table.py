"""The rows, and what became of them."""

ROWS = []


class Scale:
    """How much of each: the whole, or what fits into a few minutes."""

    def __init__(self, quick):
        self.quick = quick

    def __call__(self, whole, quick):
        return quick if self.quick else whole


class Row:
    def __init__(self, name, fault, target, function, is_long):
        self.name, self.fault, self.target, self.function, self.is_long = name, fault, target, function, is_long


def row(name, fault, target, is_long=False):
    """A row of the table: its function takes the scale, and returns its figure and whether it held.

    `is_long`: not part of the quick form.
    """
    def add(function):
        ROWS.append(Row(name, fault, target, function, is_long))
        return function

    return add
