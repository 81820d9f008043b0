//! What publications come to: pushes, new times of expiry, and what is told.

use std::sync::Arc;

use deadpool_redis::redis::{Cmd, cmd};

use super::lanes::{Lanes, Mark, MarkOf};
use crate::scripts::{self, ONCE};

/// How many messages one command pushes: the server serves nobody else meanwhile.
const PUSHED_AT_ONCE: usize = 1000;

/// Envelopes with the places that they go to. The messages of one list stay in their order.
#[derive(Debug)]
pub(crate) struct Mail {
    lanes: Arc<Lanes>,
    mark: MarkOf,
    pushes: Vec<Push>,
    expiries: Vec<(String, u64)>,
    told: Vec<(String, Vec<u8>)>,
    named: Vec<Named>,
    messages: usize,
}

/// What is sent where nobody has sent anything under that name.
#[derive(Debug)]
struct Named {
    /// The key that there is when it was sent.
    key: String,
    /// For how many seconds it is kept.
    kept: u64,
    mail: Mail,
}

#[derive(Debug)]
struct Push {
    list: String,
    items: Vec<Vec<u8>>,
}

impl Mail {
    pub(crate) fn new(lanes: Arc<Lanes>) -> Self {
        let (pushes, expiries, told) = (Vec::new(), Vec::new(), Vec::new());
        let (mark, named) = (MarkOf::default(), Vec::new());
        Self { lanes, mark, pushes, expiries, told, named, messages: 0 }
    }

    /// Where it is noted with which pipeline it went.
    pub(crate) fn mark(&self) -> MarkOf {
        Arc::clone(&self.mark)
    }

    /// Notes the pipeline that it goes with.
    pub(super) fn goes_with(&self, mark: &Mark) {
        // It goes once.
        _ = self.mark.set(mark.clone());
    }

    pub(super) fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    pub(super) fn has_pushes(&self) -> bool {
        !self.pushes.is_empty() || self.named.iter().any(|named| named.mail.has_pushes())
    }

    /// Pushes the item onto the list.
    pub(crate) fn push(&mut self, list: String, item: Vec<u8>) {
        self.messages += 1;
        match self.place(&list) {
            Some(at) => self.pushes[at].items.push(item),
            None => self.pushes.push(Push { list, items: vec![item] }),
        }
    }

    /// Lets the list expire after so many milliseconds.
    pub(crate) fn expire(&mut self, list: String, millis: u64) {
        if !self.expiries.iter().any(|(known, _)| *known == list) {
            self.expiries.push((list, millis));
        }
    }

    /// Publishes the item on the channel.
    pub(crate) fn tell(&mut self, channel: String, item: Vec<u8>) {
        self.messages += 1;
        self.told.push((channel, item));
    }

    /// Sends the mail where the key is not there, which is set then, for so many seconds.
    pub(crate) fn once(&mut self, key: String, kept: u64, mail: Self) {
        self.messages += mail.messages;
        self.named.push(Named { key, kept, mail });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// How many envelopes there are.
    pub(crate) fn len(&self) -> usize {
        self.messages
    }

    /// Whether any of it goes to this list or channel.
    pub(crate) fn goes_to(&self, target: &str) -> bool {
        let lists = self.pushes.iter().map(|push| &push.list);
        let lists = lists.chain(self.expiries.iter().map(|(list, _)| list));
        let channels = self.told.iter().map(|(channel, _)| channel);
        let keys = self.named.iter().map(|named| &named.key);
        lists.chain(channels).chain(keys).any(|it| it == target)
    }

    /// The list and the message, when that is all of it.
    pub(super) fn single(&self) -> Option<(&str, &[u8])> {
        match (&self.pushes[..], self.messages, self.expiries.is_empty()) {
            ([Push { list, items }], 1, true) => Some((list, items.first()?)),
            _ => None,
        }
    }

    /// The lists and channels that it goes to.
    fn targets(&self) -> impl Iterator<Item = &String> {
        let lists = self.pushes.iter().map(|push| &push.list);
        lists.chain(self.told.iter().map(|(channel, _)| channel))
    }

    /// Where the list has its place so far; most often it is the last.
    fn place(&self, list: &str) -> Option<usize> {
        self.pushes.iter().rposition(|push| push.list == list)
    }
}

impl Named {
    /// The commands that are carried out once, behind the one that says so.
    fn commands(&self) -> Vec<Cmd> {
        let commands = plain(std::iter::once(&self.mail));
        let once = cmd("ONCE").arg(&self.key).arg(self.kept).arg(commands.len()).to_owned();
        std::iter::once(once).chain(commands.into_iter().map(|(_, command)| command)).collect()
    }

    /// All of it as one command.
    fn command(&self) -> Cmd {
        let keys: Vec<String> =
            std::iter::once(&self.key).chain(self.mail.targets()).cloned().collect();
        let mut command = ONCE.command(&keys);
        self.commands().iter().for_each(|words| scripts::add(&mut command, words));
        command
    }
}

/// The commands that all of it comes to, each with its list, channel or key. The pushes are first, so that nothing is told of
/// what is not there yet.
pub(super) fn commands<'a>(mails: impl Iterator<Item = &'a Mail> + Clone) -> Vec<(&'a str, Cmd)> {
    let named = mails.clone().flat_map(|mail| &mail.named);
    let named = named.map(|named| (named.key.as_str(), named.command()));
    let mut commands = plain(mails);
    commands.extend(named);
    commands
}

/// The same for a script that carries commands out.
pub(crate) fn follows(mail: &Mail) -> Vec<Cmd> {
    let plain = plain(std::iter::once(mail)).into_iter().map(|(_, command)| command);
    plain.chain(mail.named.iter().flat_map(Named::commands)).collect()
}

/// What does not depend on a name.
fn plain<'a>(mails: impl Iterator<Item = &'a Mail> + Clone) -> Vec<(&'a str, Cmd)> {
    let mut lists: Vec<(&str, Vec<&[u8]>)> = Vec::new();
    for Push { list, items } in mails.clone().flat_map(|mail| &mail.pushes) {
        let items = items.iter().map(Vec::as_slice);
        match lists.iter_mut().find(|(known, _)| known == list) {
            Some((_, known)) => known.extend(items),
            None => lists.push((list, items.collect())),
        }
    }
    let mut commands = Vec::new();
    for (list, items) in &lists {
        for items in items.chunks(PUSHED_AT_ONCE) {
            let bytes = items.iter().map(|item| item.len()).sum::<usize>();
            let mut command = Cmd::with_capacity(items.len() + 2, bytes + list.len() + 5);
            command.arg("LPUSH").arg(list).arg(items);
            commands.push((*list, command));
        }
    }
    let mut expiring: Vec<&str> = Vec::new();
    for (list, millis) in mails.clone().flat_map(|mail| &mail.expiries) {
        if !expiring.contains(&list.as_str()) {
            expiring.push(list);
            commands.push((list, cmd("PEXPIRE").arg(list).arg(millis).to_owned()));
        }
    }
    let told = mails.flat_map(|mail| &mail.told);
    commands.extend(told.map(|(channel, item)| {
        (channel.as_str(), cmd("PUBLISH").arg(channel).arg(item).to_owned())
    }));
    commands
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    fn mail() -> Mail {
        let keys = Keys {
            prefix: String::new(),
            sep: String::new(),
            steps: vec![0],
            unacked: String::new(),
            unacked_index: String::new(),
            fanout_prefix: String::new(),
            fanout_patterns: true,
        };
        Mail::new(Arc::new(Lanes::new(&keys)))
    }

    fn written(mails: &[Mail]) -> Vec<String> {
        let shown = |(_, command): (&str, Cmd)| {
            let words = command.args_iter().map(|word| match word {
                deadpool_redis::redis::Arg::Simple(word) => {
                    String::from_utf8_lossy(word).into_owned()
                }
                _ => String::new(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        commands(mails.iter()).into_iter().map(shown).collect()
    }

    #[test]
    fn what_goes_into_one_list_is_one_command_in_its_order() {
        let mut first = mail();
        first.push("a".to_owned(), b"1".to_vec());
        first.tell("news".to_owned(), b"1 was sent".to_vec());
        first.push("b".to_owned(), b"2".to_vec());
        first.push("a".to_owned(), b"3".to_vec());
        let mut second = mail();
        second.push("a".to_owned(), b"4".to_vec());
        second.expire("a".to_owned(), 50);
        second.expire("a".to_owned(), 50);
        assert_eq!(first.len(), 4);
        assert!(first.goes_to("news") && first.goes_to("b") && !second.goes_to("b"));
        let all = ["LPUSH a 1 3 4", "LPUSH b 2", "PEXPIRE a 50", "PUBLISH news 1 was sent"];
        assert_eq!(written(&[first, second]), all);
    }

    #[test]
    fn no_command_pushes_more_than_a_thousand_messages() {
        let mut mail = mail();
        (0..2500)
            .for_each(|number: i32| mail.push("a".to_owned(), number.to_string().into_bytes()));
        let lengths: Vec<_> =
            written(&[mail]).iter().map(|words| words.split(' ').count() - 2).collect();
        assert_eq!(lengths, [1000, 1000, 500]);
    }
}
