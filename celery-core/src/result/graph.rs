//! Which task published which.

use std::collections::HashMap;
use std::fmt::Write;

/// The tasks that followed from one, and which published which.
///
/// [`AsyncResult::graph`](super::AsyncResult::graph) makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<String>,
    adjacent: Vec<Vec<usize>>,
    places: HashMap<String, usize>,
}

impl Graph {
    /// Adds a node, once.
    pub(super) fn add(&mut self, id: &str) -> usize {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let place = self.nodes.len();
        self.places.insert(id.to_owned(), place);
        self.nodes.push(id.to_owned());
        self.adjacent.push(Vec::new());
        place
    }

    pub(super) fn add_edge(&mut self, from: usize, to: &str) {
        let to = self.add(to);
        self.adjacent[from].push(to);
    }

    /// The ids of the tasks and groups, from the first on.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(String::as_str)
    }

    /// Who published whom: a task and one that it published, or a group and one of its members.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        let adjacent = self.nodes.iter().zip(&self.adjacent);
        adjacent.flat_map(move |(from, to)| {
            to.iter().map(move |to| (from.as_str(), self.nodes[*to].as_str()))
        })
    }

    /// The ids of what a task or group published, in order; none of one that is not in the graph.
    pub fn children(&self, id: &str) -> impl Iterator<Item = &str> {
        let place = self.places.get(id);
        let children = place.map(|place| self.adjacent[*place].as_slice()).unwrap_or_default();
        children.iter().map(|child| self.nodes[*child].as_str())
    }

    /// The graph in the language of Graphviz, as Celery draws it.
    pub fn to_dot(&self) -> String {
        let look = r#"shape="oval", arrowhead="vee", style="filled", fontname="HelveticaNeue""#;
        let root = self.nodes.first().map_or("", String::as_str);
        let mut dot = String::new();
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to a string does not fail.
            _ = writeln!(dot, "{text}");
        };
        line(format_args!("digraph dependencies {{"));
        line(format_args!("    graph [{look}, bgcolor=\"mintcream\", root=\"{root}\"]"));
        for (node, adjacent) in self.nodes.iter().zip(&self.adjacent) {
            let colors = match adjacent.as_slice() {
                [] => r#"fillcolor="palegreen1", color="palegreen2""#,
                _ => r#"fillcolor="palegreen3", color="palegreen4""#,
            };
            line(format_args!("    \"{node}\" [{look}, {colors}]"));
            for to in adjacent {
                let to = &self.nodes[*to];
                line(format_args!(
                    "    \"{node}\" -> \"{to}\" [{look}, color=\"darkseagreen4\", arrowcolor=\"black\", arrowsize=\"0.7\"]"
                ));
            }
        }
        line(format_args!("}}"));
        dot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_reached_twice_is_there_once() {
        let mut graph = Graph::default();
        let root = graph.add("a");
        graph.add_edge(root, "b");
        let b = graph.add("b");
        graph.add_edge(root, "c");
        graph.add_edge(b, "c");
        assert_eq!(graph.nodes().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(graph.edges().collect::<Vec<_>>(), [("a", "b"), ("a", "c"), ("b", "c")]);
        assert_eq!(graph.children("a").collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(graph.children("x").count(), 0);
    }
}
