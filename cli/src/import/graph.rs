//! Circles in what needs what.

/// Every circle that a depth-first walk meets, each as the nodes on it in order; `needs[n]` is what node `n` needs.
/// The walk does not recurse: an inventory may be deep.
#[must_use]
pub fn cycles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        OnPath,
        Done,
    }
    let mut marks = vec![Mark::New; needs.len()];
    let mut found = Vec::new();
    for start in 0..needs.len() {
        if marks[start] != Mark::New {
            continue;
        }
        let mut path = vec![(start, 0)];
        marks[start] = Mark::OnPath;
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some(&needed) = needs[node].get(*next) else {
                marks[node] = Mark::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match marks.get(needed) {
                Some(Mark::New) => {
                    marks[needed] = Mark::OnPath;
                    path.push((needed, 0));
                }
                Some(Mark::OnPath) => {
                    let from = path.iter().position(|(on_path, _)| *on_path == needed).unwrap_or(0);
                    found.push(path[from..].iter().map(|(on_path, _)| *on_path).collect());
                }
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_and_diamonds_are_none() {
        assert_eq!(cycles(&[vec![1, 2], vec![3], vec![3], vec![]]), Vec::<Vec<usize>>::new());
        assert_eq!(cycles(&[vec![1], vec![2], vec![1]]), [vec![1, 2]]);
        assert_eq!(cycles(&[vec![0]]), [vec![0]]);
        assert_eq!(cycles(&[vec![1], vec![0], vec![3], vec![2]]), [vec![0, 1], vec![2, 3]]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let needs: Vec<Vec<usize>> = (0..200_000).map(|n| vec![n + 1]).chain([vec![]]).collect();
        assert!(cycles(&needs).is_empty());
    }
}
