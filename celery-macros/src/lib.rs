//! The attribute macros of `celery`, which re-exports them.
//!
//! A task goes through four steps, a file each: its attribute (`args`) and function (`task_fn`) are read into a
//! model, the rules are held against it (`check`), and it is written out (`expand`). All mistakes are reported at
//! once, and what stands in for a task with mistakes keeps the rest of the program free of errors that follow.
//!
//! The macros do not know the options of a task: `key = value` becomes `.key(value)` on `Options`.

mod args;
mod check;
mod command;
mod errors;
mod expand;
mod task_fn;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

use crate::{args::Args, errors::Errors, task_fn::TaskFn};

/// Which attribute it is.
#[derive(Clone, Copy)]
enum Kind {
    Shared,
    Task,
    Remote,
}

/// Makes a function a task of whichever app runs or sends it: Celery's `@shared_task`.
///
/// ```ignore
/// #[shared_task(autoretry_for = [SmtpError], max_retries = 5, acks_late)]
/// pub async fn send_welcome_email(user_id: i64, #[state] db: PgPool) -> Result<(), EmailError> {
///     let user = User::find(&db, user_id).await?;
///     user.email("Welcome!").await?;
///     Ok(())
/// }
///
/// SendWelcomeEmail::delay(user.id).await?;
/// ```
///
/// The function stays what it is, and can be called and tested as one. Beside it there is a type of its name in camel
/// case, with `delay` to call the task, and `s`, `si` and `partial` for its signatures. An `async fn` runs on tokio,
/// a plain `fn` on a thread that may block.
///
/// # Parameters
/// Callers give arguments by position or by name, by Python's rules. Their types own what they hold, and implement
/// serde's `Serialize` and `Deserialize`. What may be left out comes last: an `Option<T>`, or a parameter with
/// `#[default = 10]`. A `#[state]` parameter is not given by callers: it receives what the app keeps under its type
/// (`.state(…)` on the builder of the app). With `bind`, the first parameter is the `&Context` of the run.
/// What is given for a `#[redact]` parameter is in the message and shown nowhere else: `***` stands for it in logs, events,
/// results and answers of remote control.
///
/// # Results
/// Anything that implements `Serialize`, or a `Result<T, E>`, written in full. Any `std` error will do for `E`; the
/// name of its type crosses the wire. `TaskError` is for tasks that retry, ignore or reject.
///
/// # Options
/// - `name = "proj.tasks.add"`: the name that the task is registered under. Without it, it is named as Python would
///   name it: function `add` in module `tasks` of crate `emails` is `emails.tasks.add`.
/// - `bind`: the first parameter is the context.
/// - `crate = path`: where the crate `celery` is, when it goes by another name.
/// - All others are the methods of `Options`: `key = value`, or `key` alone for `true`. `autoretry_for`,
///   `dont_autoretry_for` and `throws` are lists of error types.
#[proc_macro_attribute]
pub fn shared_task(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Kind::Shared, args.into(), item.into()).into()
}

/// Makes a function a task of one app: Celery's `@app.task`.
///
/// `app = path` names a function that returns the app, a cheap handle. All else is as for
/// [`shared_task`](macro@shared_task).
///
/// ```ignore
/// #[task(app = crate::celery::app)]
/// pub fn add(x: i64, y: i64) -> i64 {
///     x + y
/// }
/// ```
#[proc_macro_attribute]
pub fn task(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Kind::Task, args.into(), item.into()).into()
}

/// Declares a task that other workers run, such as one that is written in Python.
///
/// It has no body, and there is no function: only the type to call it by. `app = path` sends it by that app, and the
/// options are those that matter to a sender, such as `queue`.
///
/// ```ignore
/// #[remote_task(name = "proj.tasks.resize")]
/// pub async fn resize(path: String, width: u32) -> String;
///
/// let thumbnail = Resize::delay("a.png".to_owned(), 64).await?.get().await?;
/// ```
#[proc_macro_attribute]
pub fn remote_task(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    attribute(Kind::Remote, args.into(), item.into()).into()
}

/// Makes a function a command of remote control that only looks: Celery's `@inspect_command`.
///
/// `inspect <name>` of your own program calls it, and `app.control.broadcast('<name>', arguments=…, reply=True)` of Python:
/// Python's `celery inspect` knows only the commands that its own app declares. What it returns is the reply: anything that
/// implements `Serialize`, or a `Result` of that, whose error is told as `{"error": …}`. An `async fn` or a plain `fn` will
/// do; commands run one after the other.
///
/// ```ignore
/// /// How many messages the worker holds at most.
/// #[inspect_command]
/// async fn prefetch(panel: &Panel) -> u32 {
///     panel.prefetch()
/// }
/// ```
///
/// # Parameters
/// The first is the worker, `&Panel`. The others are given by name, and on the command line in order. What may be left out
/// comes last: an `Option<T>`, or a parameter with `#[default = 10]`. A last parameter that is a `Vec` takes the rest of the
/// command line. A `#[state]` parameter receives what the app keeps under its type.
///
/// # Options
/// - `name = "…"`, `alias = "…"`: what it is called; without them, what the function is called.
/// - `help = "…"`, `signature = "…"`: what `--list` shows of it; without them, the first line of its documentation, and its
///   parameters.
/// - `hidden`: `--list` does not show it.
/// - `crate = path`: where the crate `celery` is, when it goes by another name.
#[proc_macro_attribute]
pub fn inspect_command(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    command::attribute(command::Kind::Inspect, args.into(), item.into()).into()
}

/// Makes a function a command of remote control that changes something: Celery's `@control_command`.
///
/// `control <name>` of your own program calls it. All else is as for [`inspect_command`](macro@inspect_command).
///
/// ```ignore
/// /// Holds that many messages at most.
/// #[control_command]
/// async fn set_prefetch(panel: &Panel, most: u32) {
///     panel.set_prefetch(most);
/// }
/// ```
#[proc_macro_attribute]
pub fn control_command(
    args: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    command::attribute(command::Kind::Control, args.into(), item.into()).into()
}

/// The expansion, with `compile_error!`s where there are mistakes.
fn attribute(kind: Kind, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(args, &mut errors);
    let task = match TaskFn::parse(item.clone(), &mut errors) {
        Ok(task) => task,
        Err(error) => {
            match syn::parse2::<syn::Item>(item.clone()) {
                Ok(other) if !matches!(other, syn::Item::Fn(_) | syn::Item::Verbatim(_)) => {
                    errors.at(other, "a task is a function; put the attribute on a `fn`");
                }
                _ => errors.push(error),
            }
            // What it is, rustc knows better.
            return errors
                .into_error()
                .map(|error| error.into_compile_error())
                .into_iter()
                .chain([item])
                .collect();
        }
    };
    check::check(kind, &args, &task, &mut errors);
    match errors.into_error() {
        None => expand::expand(kind, &args, &task),
        Some(error) => {
            [error.into_compile_error(), expand::fallback(&args, &task)].into_iter().collect()
        }
    }
}
