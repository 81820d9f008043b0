//! What stands in the parentheses of an attribute.
//!
//! Only a few keys mean something to the macros. All others are options of the task and are kept as they are: they
//! become calls on `Options`, where rustc checks their names and types.

use proc_macro2::{Span, TokenStream};
use syn::{
    Expr, Ident, Lit, LitBool, LitStr, Path, Token, Type, bracketed,
    ext::IdentExt,
    parse::{ParseStream, Parser},
    punctuated::Punctuated,
    token,
};

use crate::errors::Errors;

/// The arguments of an attribute.
pub(crate) struct Args {
    /// `name = "…"`.
    pub(crate) name: Option<LitStr>,
    /// The word `bind`.
    pub(crate) bind: Option<Ident>,
    /// `app = path`, with its key.
    pub(crate) app: Option<(Ident, Path)>,
    /// `crate = path`: where `__private` is.
    pub(crate) krate: Path,
    /// All others, in order.
    pub(crate) options: Vec<OptionArg>,
}

/// An option of the task.
pub(crate) struct OptionArg {
    pub(crate) key: Ident,
    pub(crate) value: OptionValue,
}

/// What an option is set to.
pub(crate) enum OptionValue {
    /// `key` alone: `true`.
    Flag,
    /// `key = value`.
    Expr(Box<Expr>),
    /// `key_for = [A, B]`, or `throws`: types, which are no values.
    ErrorTypes(Vec<Type>),
}

impl Args {
    /// Reads the arguments; what cannot be read is noted and left out.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self {
            name: None,
            bind: None,
            app: None,
            krate: syn::parse_quote!(::celery),
            options: Vec::new(),
        };
        let mut seen: Vec<Ident> = Vec::new();
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                let key = input.call(Ident::parse_any)?;
                if seen.contains(&key) {
                    errors.at(&key, format!("`{key}` is set twice; remove one of them"));
                }
                args.argument(&key, input, errors)?;
                seen.push(key);
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            errors.push(error);
        }
        args
    }

    fn argument(
        &mut self,
        key: &Ident,
        input: ParseStream<'_>,
        errors: &mut Errors,
    ) -> syn::Result<()> {
        let has_value = input.parse::<Option<Token![=]>>()?.is_some();
        if key == "name" {
            self.name = name(key, has_value, input, errors)?;
        } else if key == "bind" {
            let on = if has_value { input.parse::<LitBool>()?.value } else { true };
            self.bind = on.then(|| key.clone());
        } else if key == "app" {
            self.app = path(key, has_value, input, errors, "app = crate::celery::app")?
                .map(|path| (key.clone(), path));
        } else if key == "crate" {
            if let Some(path) = path(key, has_value, input, errors, "crate = ::celery")? {
                self.krate = path;
            }
        } else {
            let value = if !has_value {
                OptionValue::Flag
            } else if key == "throws" || key.to_string().ends_with("_for") {
                error_types(key, input)?
            } else {
                OptionValue::Expr(input.parse()?)
            };
            self.options.push(OptionArg { key: key.clone(), value });
        }
        Ok(())
    }
}

fn name(
    key: &Ident,
    has_value: bool,
    input: ParseStream<'_>,
    errors: &mut Errors,
) -> syn::Result<Option<LitStr>> {
    if !has_value {
        errors.at(key, "a name is missing; write `name = \"proj.tasks.add\"`");
        return Ok(None);
    }
    match input.parse::<Expr>()? {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(name), .. }) if !name.value().is_empty() => {
            Ok(Some(name))
        }
        Expr::Lit(syn::ExprLit { lit: Lit::Str(empty), .. }) => {
            errors.at(empty, "the name of a task is empty; leave `name` out to have it named for its module and function");
            Ok(None)
        }
        other => {
            errors.at(
                other,
                "the name of a task is a string literal, such as `name = \"proj.tasks.add\"`",
            );
            Ok(None)
        }
    }
}

fn path(
    key: &Ident,
    has_value: bool,
    input: ParseStream<'_>,
    errors: &mut Errors,
    example: &str,
) -> syn::Result<Option<Path>> {
    if !has_value {
        errors.at(key, format!("`{key}` needs a path; write `{example}`"));
        return Ok(None);
    }
    // Not as an expression, which could not begin with `crate` alone.
    input.call(Path::parse_mod_style).map(Some)
}

fn error_types(key: &Ident, input: ParseStream<'_>) -> syn::Result<OptionValue> {
    if !input.peek(token::Bracket) {
        return Err(input.error(format!(
            "`{key}` is a list of error types; write `{key} = [SmtpError, IoError]`"
        )));
    }
    let list;
    bracketed!(list in input);
    let types = Punctuated::<Type, Token![,]>::parse_terminated(&list)?;
    Ok(OptionValue::ErrorTypes(types.into_iter().collect()))
}

/// `true`, at the place of the key that stands for it.
pub(crate) fn flag(key: &Ident) -> LitBool {
    LitBool::new(true, key.span())
}

/// A place for mistakes about what is not there.
pub(crate) fn attribute() -> Span {
    Span::call_site()
}
