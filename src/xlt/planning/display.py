"""What is seen of a goal: on a terminal one display that stays in place, elsewhere a line when a run starts or ends."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from xlt.planning.goal import Goal, GoalRun


class Display:
    """Shows a goal until it is closed."""

    def __init__(self, goal: Goal, console: Console | None = None) -> None:
        self.goal, self.rows = goal, dict[str, TaskID]()
        console = console or Console(highlight=False)
        self.live: Progress | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            name, said = (Column(no_wrap=True, ratio=ratio, overflow="ellipsis") for ratio in (2, 3))
            columns = TextColumn("{task.description}", table_column=name), BarColumn(16), TimeElapsedColumn()
            self.live = Progress(
                *columns,
                TextColumn("{task.fields[said]}", markup=False, table_column=said),
                console=console,
                transient=True,
                expand=True,
            )
            self.whole = self.live.add_task(goal.name, total=goal.before + len(goal.runs), said="")
            self.live.start()
        self.say(f"{goal.name}: {goal.counts()}")

    def say(self, line: str) -> None:
        """A line that stays."""
        if self.live is None:
            print(line, flush=True)
        else:
            self.live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def begun(self, run: GoalRun) -> None:
        """A run has started."""
        if self.live is None:
            self.say(f"begun   {run.folder} (log: {run.log})")
        else:
            self.rows[str(run.folder)] = self.live.add_task(short(run), total=None, said="starting")

    def ended(self, run: GoalRun) -> None:
        """A run is done or has failed."""
        if self.live is not None and (row := self.rows.pop(str(run.folder), None)) is not None:
            self.live.remove_task(row)
        said = run.said.removeprefix("done ")
        if self.live is None:
            self.say(f"{run.state:7} {run.folder}: {said} ({self.goal.counts()})")
        else:
            self.say(f"{run.state:7} {short(run)}: {said}")

    def refresh(self) -> None:
        """Show how far the running ones are."""
        if self.live is None:
            return
        finished = self.goal.before + len(self.goal.of("done"))
        self.live.update(self.whole, completed=finished, said=self.goal.counts())
        for run in self.goal.of("running"):
            now, row = run.progress, self.rows[str(run.folder)]
            if now is None or now.title not in run.said:
                self.live.update(row, said=run.said or "starting")
                continue
            score = "" if now.score is None else f", development {now.score:.1f}"
            said = f"epoch {now.epoch} of {now.epochs}{score}"
            self.live.update(row, completed=now.step, total=now.steps, said=said)

    def close(self) -> None:
        """Nothing is drawn from now on."""
        if self.live is not None:
            self.live.stop()


def short(run: GoalRun) -> str:
    """A run's folder without what all have in common, e.g. ``full/mnli/seed-1``."""
    return "/".join(run.folder.parts[-3:])
