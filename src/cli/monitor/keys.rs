//! What keys mean: Celery's letters, the arrows, and a few that leave.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key, or what else comes from the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Up,
    Down,
    Enter,
    Backspace,
    Escape,
    /// Ctrl-C, which is a key while the terminal is ours.
    Interrupt,
    /// The window has another size.
    Resized,
}

impl Key {
    /// What it is to us; nothing for what we do not listen to.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => Self::of_key(*key),
            Event::Resize(..) => Some(Self::Resized),
            _ => None,
        }
    }

    fn of_key(key: KeyEvent) -> Option<Self> {
        match key.code {
            KeyCode::Char('c' | 'C') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Self::Interrupt)
            }
            KeyCode::Char(char) => Some(Self::Char(char)),
            KeyCode::Up => Some(Self::Up),
            KeyCode::Down => Some(Self::Down),
            KeyCode::Enter => Some(Self::Enter),
            KeyCode::Backspace => Some(Self::Backspace),
            KeyCode::Esc => Some(Self::Escape),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_and_ctrl_c_is_no_c() {
        let of = |code, modifiers| Key::of(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(of(KeyCode::Char('c'), KeyModifiers::NONE), Some(Key::Char('c')));
        assert_eq!(of(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(of(KeyCode::Char('J'), KeyModifiers::SHIFT), Some(Key::Char('J')));
        assert_eq!(of(KeyCode::Down, KeyModifiers::NONE), Some(Key::Down));
        assert_eq!(of(KeyCode::F(1), KeyModifiers::NONE), None);
        assert_eq!(Key::of(&Event::Resize(1, 1)), Some(Key::Resized));
    }
}
