//! `#[control_command]` and `#[inspect_command]`: a function that a worker calls when remote control asks it to.
//!
//! It goes through the same steps as a task, of which it has few of the rules: read, checked, written out.

mod expand;

use proc_macro2::TokenStream;
use syn::{
    Attribute, Expr, FnArg, Ident, ItemFn, LitStr, Meta, Pat, Path, Token, Type,
    ext::IdentExt,
    parse::{ParseStream, Parser},
};

use crate::{check::owned, errors::Errors, task_fn::is_named};

/// Which attribute it is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Inspect,
    Control,
}

/// A command, as it was written.
struct CommandFn {
    kind: Kind,
    args: Args,
    /// The function, without the attributes of its parameters that are ours.
    function: ItemFn,
    /// All parameters but the worker.
    parameters: Vec<Parameter>,
}

/// What stands in the parentheses of the attribute.
struct Args {
    name: Option<LitStr>,
    alias: Option<LitStr>,
    help: Option<LitStr>,
    signature: Option<LitStr>,
    hidden: bool,
    krate: Path,
}

/// A parameter of the function.
struct Parameter {
    ident: Ident,
    ty: Type,
    role: Role,
}

/// What a parameter receives.
enum Role {
    /// What the app keeps under its type.
    State,
    /// An argument of the request, which may be left out where there is a default, or where it is an `Option`.
    Argument { default: Option<Box<Expr>> },
}

/// The expansion, with `compile_error!`s where there are mistakes.
pub(crate) fn attribute(kind: Kind, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = Args::parse(args, &mut errors);
    let mut function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            match syn::parse2::<syn::Item>(item.clone()) {
                Ok(other) => {
                    errors.at(other, "a command is a function; put the attribute on a `fn`");
                }
                Err(_) => errors.push(error),
            }
            let error = errors.into_error().map(syn::Error::into_compile_error);
            return error.into_iter().chain([item]).collect();
        }
    };
    let parameters = parameters(&mut function, &mut errors);
    check(&function, &parameters, &mut errors);
    let command = CommandFn { kind, args, function, parameters };
    match errors.into_error() {
        None => expand::expand(&command),
        Some(error) => {
            let function = &command.function;
            let error = error.into_compile_error();
            quote::quote! { #error #[allow(dead_code)] #function }
        }
    }
}

impl Args {
    fn parse(tokens: TokenStream, errors: &mut Errors) -> Self {
        let mut args = Self {
            name: None,
            alias: None,
            help: None,
            signature: None,
            hidden: false,
            krate: syn::parse_quote!(::celery),
        };
        let parser = |input: ParseStream<'_>| {
            while !input.is_empty() {
                let key = input.call(Ident::parse_any)?;
                if key == "hidden" {
                    args.hidden = true;
                } else {
                    input.parse::<Token![=]>()?;
                    if key == "crate" {
                        args.krate = input.call(Path::parse_mod_style)?;
                    } else {
                        let text: LitStr = input.parse()?;
                        match key.to_string().as_str() {
                            "name" => args.name = Some(text),
                            "alias" => args.alias = Some(text),
                            "help" => args.help = Some(text),
                            "signature" => args.signature = Some(text),
                            _ => errors.at(&key, format!("a command has no `{key}`; it has `name`, `alias`, `help`, `signature` and `hidden`")),
                        }
                    }
                }
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
}

/// Reads the parameters behind the first, which is the worker.
fn parameters(function: &mut ItemFn, errors: &mut Errors) -> Vec<Parameter> {
    const WORKER: &str =
        "a command is given the worker first; make `panel: &Panel` its first parameter";
    let mut inputs = function.sig.inputs.iter_mut();
    match inputs.next() {
        Some(FnArg::Typed(first)) if is_panel(&first.ty) => {}
        Some(FnArg::Receiver(receiver)) => errors.at(
            receiver,
            "a command is a free function and has no `self`; move it out of the `impl`",
        ),
        Some(other) => errors.at(other, WORKER),
        None => errors.push(syn::Error::new_spanned(&function.sig.ident, WORKER)),
    }
    inputs.filter_map(|input| parameter(input, errors)).collect()
}

fn parameter(input: &mut FnArg, errors: &mut Errors) -> Option<Parameter> {
    let FnArg::Typed(input) = input else { return None };
    let (ours, theirs) =
        std::mem::take(&mut input.attrs).into_iter().partition::<Vec<_>, _>(|attr: &Attribute| {
            attr.path().is_ident("state") || attr.path().is_ident("default")
        });
    input.attrs = theirs;
    let mut role = Role::Argument { default: None };
    for attr in ours {
        role = match attr.meta {
            Meta::Path(path) if path.is_ident("state") => Role::State,
            Meta::NameValue(meta) if meta.path.is_ident("default") => {
                Role::Argument { default: Some(Box::new(meta.value)) }
            }
            other => {
                errors.at(other, "write `#[default = 10]`, or `#[state]` alone");
                continue;
            }
        };
    }
    let Pat::Ident(pat) = &*input.pat else {
        errors.at(&input.pat, "a parameter of a command is a plain name, by which it is given; take it apart in the body");
        return None;
    };
    Some(Parameter { ident: pat.ident.clone(), ty: (*input.ty).clone(), role })
}

fn check(function: &ItemFn, parameters: &[Parameter], errors: &mut Errors) {
    let sig = &function.sig;
    if !sig.generics.params.is_empty() {
        errors.at(&sig.generics, "a command has no generic parameters, since its name stands for one function; write the types out");
    }
    let mut optional_before = None;
    for Parameter { ident, ty, role } in parameters {
        owned(
            ty,
            "an argument is read from a message, so there is nothing to borrow it from",
            errors,
        );
        let Role::Argument { default } = role else { continue };
        let optional = default.is_some() || is_named(ty, "Option");
        match optional_before {
            Some(before) if !optional => errors.at(
                ident,
                format!("`{ident}` must be given but follows `{before}`, which may be left out; move it before, or give it a `#[default = …]`"),
            ),
            _ => {}
        }
        if optional {
            optional_before = Some(ident);
        }
    }
}

/// Whether it is written `&Panel`.
fn is_panel(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none() && is_named(&reference.elem, "Panel"))
}
