"""What the runs of a workload without a fault have in common, and how another run differs from it."""
from cluster import check
from states import AT_MOST


class Reference:
    """`found`, `writes`: of each of the fault-free runs."""

    def __init__(self, workload, found, writes):
        names = [state.keys() for state in found]
        check(names[0] == names[1], f"two fault-free runs of {workload} differ: {sorted(names[0] ^ names[1])}")
        deletions = [deleted(those) for those in writes]
        check(deletions[0] == deletions[1], f"two fault-free runs of {workload} delete {deletions[0]} and {deletions[1]}")
        self.deleted, self.made = deletions[0], [made(those) for those in writes]
        self.paths = names[0]
        self.compared = {path: value for path, value in found[0].items() if found[1][path] == value}
        self.most = {path: max(state[path] for state in found) for path in self.paths if path.endswith(AT_MOST)}
        self.fewest, self.count = min(map(len, writes)), max(map(len, writes))
        # Without a fault too a status may take a write or two fewer, as changes come together: only these may meet no kill.
        self.certain = max(1, self.fewest - 2)

    def differences(self, found, writes):
        wrong = [f"{path} is missing" for path in self.paths - found.keys()]
        wrong += [f"{path} is left over" for path in found.keys() - self.paths]
        wrong += [f"{path} is {found[path]}, not {value}" for path, value in self.compared.items()
                  if path in found and path not in self.most and found[path] != value]
        wrong += [f"{path} is {found[path]}, more than {value}" for path, value in self.most.items()
                  if path in found and found[path] > value]
        if (removed := deleted(writes)) != self.deleted:
            wrong.append(f"deleted {removed}, without a fault {self.deleted}")
        if (new := made(writes)) not in self.made:
            wrong.append(f"made {new}, without a fault {self.made[0]}")
        return wrong


def deleted(writes):
    return sorted(path for method, path, status in writes if method == "DELETE" and status < 300)


def made(writes):
    """What was made, as often as it was: nothing is made twice."""
    return sorted(path for _, path, status in writes if status == 201)
