//! The model of a task: a function, its parameters by what they receive, and what it returns.

use proc_macro2::{Group, TokenStream};
use quote::ToTokens;
use syn::{
    Attribute, Expr, FnArg, GenericArgument, Ident, Meta, Pat, PathArguments, ReturnType,
    Signature, Token, Type, Visibility, ext::IdentExt, parse::Parse, parse::ParseStream,
};

use crate::errors::Errors;

/// A function under an attribute, with a body or without.
pub(crate) struct TaskFn {
    /// Its attributes, documentation among them.
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    /// Its signature, without the attributes of its parameters that are ours.
    pub(crate) sig: Signature,
    /// Its body, as it was written; `None` is a semicolon.
    pub(crate) body: Option<TokenStream>,
    /// Its parameters, in order.
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) output: Output,
    /// Whether `parameters` has all of them: one that is no name is left out.
    pub(crate) complete: bool,
}

/// A parameter of the function.
pub(crate) struct Parameter {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) role: Role,
}

/// What a parameter receives.
pub(crate) enum Role {
    /// The context of the run: `&Context`.
    Context,
    /// What the app keeps under its type.
    State(Box<Attribute>),
    /// An argument of the call.
    Argument {
        /// What stands in for it.
        default: Option<Box<Expr>>,
        /// Whether it may be left out.
        optional: bool,
        /// Whether it is shown nowhere.
        redacted: bool,
    },
}

/// What the function returns.
pub(crate) enum Output {
    /// A value: it cannot fail.
    Value(Type),
    /// A `Result` of that type, whatever its error.
    Fallible(Type),
}

/// The function as it is written, before the attributes of its parameters are read.
struct Item {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Option<TokenStream>,
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        // The body is only handed on, so its syntax is for rustc to check.
        let body = if input.parse::<Option<Token![;]>>()?.is_some() {
            None
        } else {
            Some(input.parse::<Group>()?.into_token_stream())
        };
        Ok(Self { attrs, vis, sig, body })
    }
}

impl TaskFn {
    /// Reads the function.
    ///
    /// # Errors
    /// When it is no function.
    pub(crate) fn parse(tokens: TokenStream, errors: &mut Errors) -> syn::Result<Self> {
        let Item { attrs, vis, mut sig, body } = syn::parse2(tokens)?;
        let mut parameters = Vec::new();
        let mut complete = true;
        for (index, input) in sig.inputs.iter_mut().enumerate() {
            match parameter(input, index, errors) {
                Some(parameter) => parameters.push(parameter),
                None => complete = false,
            }
        }
        let output = Output::of(&sig.output);
        Ok(Self { attrs, vis, sig, body, parameters, output, complete })
    }

    /// The name of the function.
    pub(crate) fn name(&self) -> String {
        self.sig.ident.unraw().to_string()
    }

    /// The name of the task's type: that of the function in camel case.
    pub(crate) fn type_name(&self) -> Ident {
        let name = self.name();
        let words = name.trim_start_matches('_');
        // Underscores in front stay: they may be all that keeps a name from beginning with a digit.
        let front = &name[..name.len() - words.len()];
        let camel: String = words.split('_').map(capitalized).collect();
        Ident::new(&format!("{front}{camel}"), self.sig.ident.span())
    }

    /// The parameters that a caller gives, in order.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(|parameter| matches!(parameter.role, Role::Argument { .. }))
    }
}

impl Output {
    /// The type that comes out when nothing goes wrong.
    pub(crate) fn value(&self) -> &Type {
        match self {
            Self::Value(ty) | Self::Fallible(ty) => ty,
        }
    }

    fn of(written: &ReturnType) -> Self {
        let ReturnType::Type(_, ty) = written else { return Self::Value(syn::parse_quote!(())) };
        result_of(ty).map_or_else(|| Self::Value((**ty).clone()), Self::Fallible)
    }
}

/// The `T` of a `Result<T, E>`, or of an alias such as `io::Result<T>`.
fn result_of(ty: &Type) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    let PathArguments::AngleBracketed(generics) = &last.arguments else { return None };
    generics.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    })
}

fn parameter(input: &mut FnArg, index: usize, errors: &mut Errors) -> Option<Parameter> {
    let input = match input {
        FnArg::Typed(input) => input,
        FnArg::Receiver(receiver) => {
            errors.at(
                receiver,
                "a task is a free function and has no `self`; move it out of the `impl`",
            );
            return None;
        }
    };
    let (ours, theirs) =
        std::mem::take(&mut input.attrs).into_iter().partition::<Vec<_>, _>(|attr| {
            ["state", "default", "redact"].iter().any(|ours| attr.path().is_ident(ours))
        });
    input.attrs = theirs;
    let role = role(&input.ty, index, ours, errors);
    let ident = match &*input.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => pat.ident.clone(),
        other => {
            errors.at(other, "a parameter of a task is a plain name, since callers may pass it by that name; take it apart in the body");
            return None;
        }
    };
    Some(Parameter { ident, ty: (*input.ty).clone(), role })
}

fn role(ty: &Type, index: usize, attrs: Vec<Attribute>, errors: &mut Errors) -> Role {
    let (mut state, mut default, mut redact) = (None, None, None);
    for attr in attrs {
        if attr.path().is_ident("state") || attr.path().is_ident("redact") {
            if let Err(error) = attr.meta.require_path_only() {
                errors.push(error);
            }
            let role = if attr.path().is_ident("state") { &mut state } else { &mut redact };
            *role = Some(Box::new(attr));
        } else {
            match attr.meta {
                Meta::NameValue(meta) => default = Some(Box::new(meta.value)),
                other => errors.at(other, "a default is missing; write `#[default = 10]`"),
            }
        }
    }
    if let Some(redact) = &redact
        && (state.is_some() || index == 0 && default.is_none() && is_context(ty))
    {
        errors.at(redact, "only what callers give is shown anywhere; remove `#[redact]`");
    }
    match (state, default) {
        (Some(state), default) => {
            if default.is_some() {
                errors.at(&state, "a parameter is `#[state]`, which the app supplies, or has a `#[default = …]` for callers, not both");
            }
            Role::State(state)
        }
        (None, None) if index == 0 && is_context(ty) => Role::Context,
        (None, default) => {
            let optional = default.is_some() || is_option(ty);
            Role::Argument { default, optional, redacted: redact.is_some() }
        }
    }
}

/// Whether it is written `&Context`.
pub(crate) fn is_context(ty: &Type) -> bool {
    matches!(ty, Type::Reference(reference) if reference.mutability.is_none() && is_named(&reference.elem, "Context"))
}

fn is_option(ty: &Type) -> bool {
    is_named(ty, "Option")
}

/// Whether the type is a path that ends in this name.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == name))
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
