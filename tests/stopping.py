"""A store whose writes can be counted and stopped."""

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
