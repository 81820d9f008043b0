//! Sends what is published: a pipeline of the mail of all who publish at that time.

use deadpool_redis::redis::{Cmd, Pipeline, RedisResult, Value};

use super::mail::{Mail, commands};
use crate::{connection::Link, error::Fault, gather::Question};

impl Question for Mail {
    type Answer = ();

    const AT_ONCE: usize = 1000;

    fn weight(&self) -> usize {
        self.len()
    }

    async fn ask(link: &Link, mails: &[&Self]) -> Vec<Result<(), Fault>> {
        let mut commands = commands(mails.iter().copied());
        let faults = match commands.as_slice() {
            [(target, command)] => {
                link.ask::<()>(command).await.map_err(|fault| vec![(*target, fault)])
            }
            _ => ask_each(link, std::mem::take(&mut commands)).await,
        };
        let Err(faults) = faults else { return vec![Ok(()); mails.len()] };
        let of = |mail: &&Self| {
            let own = faults.iter().find(|(target, _)| mail.goes_to(target));
            own.map_or(Ok(()), |(_, fault)| Err(fault.clone()))
        };
        mails.iter().map(of).collect()
    }
}

/// Asks for each, whatever becomes of the others: what went wrong, and where.
async fn ask_each<'a>(
    link: &Link,
    commands: Vec<(&'a str, Cmd)>,
) -> Result<(), Vec<(&'a str, Fault)>> {
    let mut pipeline = Pipeline::with_capacity(commands.len());
    pipeline.ignore_errors();
    let mut targets = Vec::with_capacity(commands.len());
    for (target, command) in commands {
        targets.push(target);
        pipeline.add_command(command);
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
