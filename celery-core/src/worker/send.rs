//! Sending signatures that are ready to be sent: what joins them is begun before.

use super::{follow::Prepared, node::Node, patience::Undone};
use crate::{
    app::{publish::Parcel, send::Outgoing},
    canvas::plan::Plan,
    clock,
    context::Context,
};

impl Node {
    /// Sends a signature, as the task of the context.
    pub(super) async fn send(&self, context: &Context, call: Prepared) -> Result<(), Undone> {
        let mut parcel = Parcel::default();
        self.load(context, call, &mut parcel).await?;
        self.publish_all(&parcel).await
    }

    /// Does all that is to be done before the messages of a signature are published, and adds them to the parcel: all or none.
    ///
    /// Whether a message reaches any queue that is not sent to one by its name is seen when it is published, and must not keep
    /// back the others: that is done here.
    pub(super) async fn load(
        &self,
        context: &Context,
        call: Prepared,
        parcel: &mut Parcel,
    ) -> Result<(), Undone> {
        let Prepared { plan, mut outgoing, name, .. } = call;
        outgoing.extend(self.begin(context, &plan).await?);
        let (mut apart, mut together) = (Parcel::default(), Parcel::default());
        for outgoing in outgoing {
            let parcel = if outgoing.goes_to_a_queue() { &mut together } else { &mut apart };
            let first = parcel.batch.len();
            let once = name.as_ref().map(|name| format!("{name}: {}", outgoing.message.id));
            self.pack(outgoing, parcel).map_err(Undone::Failed)?;
            parcel.batch[first].message.once_named = once;
        }
        self.publish_all(&apart).await?;
        parcel.append(together);
        Ok(())
    }

    /// Begins the joins of a plan. What is returned is to be sent, too: what looks for their ends, where the backend does not count
    /// parts.
    async fn begin(&self, context: &Context, plan: &Plan) -> Result<Vec<Outgoing>, Undone> {
        if plan.joins.is_empty() {
            return Ok(Vec::new());
        }
        let begin = || self.app.begin(plan);
        let specs = Box::pin(self.persist("begin a chord", &plan.result.id, begin)).await?;
        let prepare = |spec| self.app.prepare(spec, Some(context), clock::now());
        specs.into_iter().map(prepare).collect::<Result<_, _>>().map_err(Undone::Failed)
    }
}
