"""A store and a checkpoint whose writes can be counted and stopped."""

from crossloss.run.store import Store


class Stopping(Store):
    """In memory; raises KeyboardInterrupt right after write number ``stop_at`` to a file that ends in ``suffix``."""

    def __init__(self, stop_at=0, suffix=""):
        super().__init__()
        self.stop_at, self.suffix, self.writes = stop_at, suffix, 0

    def save(self, file, value):
        super().save(file, value)
        if file.endswith(self.suffix):
            self.writes += 1
            if self.writes == self.stop_at:
                raise KeyboardInterrupt


class StoppingCheckpoint:
    """In memory, saved at every step; raises KeyboardInterrupt right after it saved step ``stop``."""

    def __init__(self, stop=None):
        self.tensors, self.steps, self.stop = None, (), stop

    def load(self):
        return self.tensors

    def due(self, t):
        return True

    def save(self, tensors):
        self.tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        self.steps += (int(tensors["step"]),)
        if self.steps[-1] == self.stop:
            raise KeyboardInterrupt
