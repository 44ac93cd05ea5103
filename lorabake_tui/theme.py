"""The one theme: dark and calm, every colour an exact entry of the 256-colour palette, so that tmux shows the same."""

from __future__ import annotations

from textual.theme import Theme

THEME = Theme(
    name="lorabake",
    dark=True,
    primary="#87afd7",  # 110: the accent, for what has the focus and for marks
    secondary="#5f87af",  # 67: bars and charts
    accent="#87afd7",
    foreground="#d0d0d0",  # 252
    background="#121212",  # 233
    surface="#1c1c1c",  # 234
    panel="#262626",  # 235
    success="#87af87",  # 108
    warning="#d7af5f",  # 179
    error="#d7875f",  # 173
    variables={
        "border": "#87afd7",
        "border-blurred": "#444444",
        "text-muted": "#8a8a8a",
        "text-disabled": "#585858",
        "block-cursor-background": "#303030",
        "block-cursor-foreground": "#eeeeee",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#262626",
        "block-cursor-blurred-foreground": "#d0d0d0",
        "block-cursor-blurred-text-style": "none",
        "input-cursor-background": "#d0d0d0",
        "input-cursor-foreground": "#121212",
        "input-selection-background": "#5f87af",
        "scrollbar": "#303030",
        "scrollbar-hover": "#585858",
        "scrollbar-active": "#87afd7",
        "scrollbar-background": "#121212",
        "scrollbar-background-hover": "#121212",
        "scrollbar-background-active": "#121212",
        "scrollbar-corner-color": "#121212",
        "footer-background": "#121212",
    },
)
