//! Sends what is published: a pipeline of the mail of all who publish at that time.

use deadpool_redis::redis::{Cmd, Pipeline, RedisResult, Value};

use super::{
    lanes::Mark,
    mail::{Mail, commands},
};
use crate::{connection::Link, error::Fault, gather::Question, scripts};

impl Question for Mail {
    type Answer = ();

    const AT_ONCE: usize = 1000;

    fn weight(&self) -> usize {
        self.len()
    }

    async fn ask(link: &Link, mails: &[&Self]) -> Vec<Result<(), Fault>> {
        if let [mail] = mails
            && let Some((list, item)) = mail.single()
        {
            return vec![push(link, mail, list, item).await];
        }
        let commands = commands(mails.iter().copied());
        let lanes = mails.first().map(|mail| mail.lanes());
        let faults = match lanes.filter(|_| mails.iter().any(|mail| mail.has_pushes())) {
            None => ask_each(link, commands, None).await,
            Some(lanes) => {
                let mark = lanes.take();
                mails.iter().for_each(|mail| mail.goes_with(&mark));
                let outcome = ask_each(link, commands, Some(&mark)).await;
                let lost =
                    |faults: &Vec<(&str, Fault)>| faults.iter().any(|it| it.1.is_connection());
                if !outcome.as_ref().is_err_and(lost) {
                    lanes.give_back(mark);
                }
                outcome
            }
        };
        let Err(faults) = faults else { return vec![Ok(()); mails.len()] };
        let of = |mail: &&Self| {
            let own = faults.iter().find(|(target, _)| mail.goes_to(target));
            own.map_or(Ok(()), |(_, fault)| Err(fault.clone()))
        };
        mails.iter().map(of).collect()
    }
}

/// Pushes a message that goes alone, as most do. It is one command and one answer; a transaction is four.
async fn push(link: &Link, mail: &Mail, list: &str, item: &[u8]) -> Result<(), Fault> {
    let mark = mail.lanes().take();
    mail.goes_with(&mark);
    let pushed = async {
        let mut connection = link.shared().await?;
        link.seen(scripts::run::<()>(&mut connection, &mark.push(list, item)).await)
    };
    let pushed = pushed.await;
    if !pushed.as_ref().is_err_and(Fault::is_connection) {
        mail.lanes().give_back(mark);
    }
    pushed
}

/// Asks for each, whatever becomes of the others: what went wrong, and where. With a mark all is one transaction.
async fn ask_each<'a>(
    link: &Link,
    commands: Vec<(&'a str, Cmd)>,
    mark: Option<&Mark>,
) -> Result<(), Vec<(&'a str, Fault)>> {
    let mut pipeline = Pipeline::with_capacity(commands.len() + 1);
    pipeline.ignore_errors();
    if mark.is_some() {
        pipeline.atomic();
    }
    let mut targets = Vec::with_capacity(commands.len());
    for (target, command) in commands {
        targets.push(target);
        pipeline.add_command(command);
    }
    if let Some(mark) = mark {
        pipeline.add_command(mark.write());
    }
    let targets = targets.into_iter();
    let faults: Vec<_> = match link.ask_all::<Vec<RedisResult<Value>>>(&pipeline).await {
        Err(fault) => targets.map(|target| (target, fault.clone())).collect(),
        Ok(outcomes) => {
            let outcomes = targets.zip(outcomes);
            outcomes.filter_map(|(target, it)| Some((target, link.seen(it).err()?))).collect()
        }
    };
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}
