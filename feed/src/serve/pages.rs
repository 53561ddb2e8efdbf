//! Where the pages are: in the source that a server was built from, or with a binary that was moved.

use std::path::{Path, PathBuf};
use std::{env, fs::File, iter};

use actix_web::HttpResponse;
use actix_web::error::{ErrorNotFound, ErrorServiceUnavailable};

/// The folders of a server's pages.
pub struct Pages {
    /// The technique's own page: `html/` in its `public/`.
    pub own: PathBuf,
    /// What the pages of all four share.
    pub shared: PathBuf,
}

/// Looks for the pages: in the folder that `PAGES` in the environment names; without it, in the
/// source, and where that is not there any more, beside the binary or one folder above it. In each
/// of these are the folders `public/` and, for the server `NAME`, `NAME/public/`.
///
/// # Errors
/// Says in one line where they are not.
pub fn find(crate_dir: &str) -> Result<Pages, String> {
    let source = Path::new(crate_dir);
    let name = source.file_name().expect("a crate's folder has a name");
    let pages_in = |folder: &Path| Pages {
        own: folder.join(name).join("public/html"),
        shared: folder.join("public"),
    };
    let candidates: Vec<Pages> = if let Some(folder) = env::var_os("PAGES") {
        vec![pages_in(Path::new(&folder))]
    } else {
        let of_source = Pages {
            own: source.join("public/html"),
            shared: Path::new(env!("CARGO_MANIFEST_DIR")).join("../public"),
        };
        let binary = env::current_exe().unwrap_or_default();
        let beside = binary.ancestors().skip(1).take(2).map(pages_in);
        iter::once(of_source).chain(beside).collect()
    };
    let is_there = |pages: &&Pages| pages.own.join("index.html").is_file() && pages.shared.is_dir();
    let places = candidates.iter().map(|pages| pages.own.display().to_string());
    let missing = format!(
        "no pages in {}; PAGES names a folder with public/ and {}/public/ in it",
        places.collect::<Vec<_>>().join(", "),
        name.display()
    );
    candidates.into_iter().find(|pages| is_there(&pages)).ok_or(missing)
}

/// `404`: there is no such page. But `503` where no file can be opened, as connections have taken all
/// file descriptors.
pub(crate) async fn none() -> HttpResponse {
    match File::open("/") {
        Ok(_) => ErrorNotFound("there is no such page").into(),
        Err(why) => ErrorServiceUnavailable(why).into(),
    }
}
