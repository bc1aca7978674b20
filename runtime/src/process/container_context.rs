//! What a node provides for its containers: images, volumes, and a runtime.
//!
//! All of this is work on files, done on blocking threads, except pulling an image that is not
//! here. It must never decide which image is meant: the template says that by digest.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crdt_state::task::TaskStart;

use super::prepare::{Prepare, Prepared};
use crate::fleet_files::{ReadFiles, RunFiles};
use crate::image::{Image, ImageError, Images, PullImage, Reference, Rootfs};
use crate::oci::{ContainerOrder, OciRuntime};
use crate::refusal::StartError;
use crate::volume::Volumes;

/// Makes the network namespace that a run joins, with its interfaces.
pub trait AttachNetworks: Send + Sync + std::fmt::Debug {
    /// Returns the path of the namespace, or why it cannot be made.
    fn attach<'a>(
        &'a self,
        start: &'a TaskStart,
    ) -> Pin<Box<dyn Future<Output = Result<PathBuf, String>> + Send + 'a>>;
}

/// The resources of one node.
#[derive(Debug)]
pub struct ContainerContext {
    /// The images that are here.
    pub images: Images,
    /// Pulls the images that are not here; `None`: they cannot be pulled.
    pub puller: Option<Arc<dyn PullImage>>,
    /// The named volumes that are here.
    pub volumes: Volumes,
    /// The OCI runtime that makes containers.
    pub runtime: OciRuntime,
    /// Makes the network namespaces of runs; `None`: there are no networks here.
    pub networks: Option<Arc<dyn AttachNetworks>>,
    /// Gives the data of configs and secrets; `None`: there are none here.
    pub files: Option<Arc<dyn ReadFiles>>,
    /// The name of a container that is given none.
    pub hostname: fn(&TaskStart) -> String,
}

impl ContainerContext {
    /// The image, completely on the disk.
    async fn image(
        &self,
        reference: Reference,
        say: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Image, StartError> {
        if let Some(puller) = &self.puller {
            return puller.pull(&reference, say).await.map_err(|error| StartError::Told {
                permanent: error.is_permanent(),
                reason: error.to_string(),
            });
        }
        let missing = reference.to_string();
        let found = self.blocking(move |images| images.find(&reference)).await?;
        found.ok_or(StartError::Told {
            permanent: false,
            reason: format!("no image {missing} on this node: edgectl image load"),
        })
    }

    /// The image's layers as unpacked folders.
    async fn unpacked(&self, image: Image) -> Result<Rootfs, StartError> {
        let unpacked =
            self.blocking(move |images| Ok::<_, StartError>(images.rootfs(&image))).await?;
        if let (Err(ImageError::DiskFull { .. }), Some(puller)) = (&unpacked, &self.puller) {
            puller.on_disk_full();
        }
        Ok(unpacked?)
    }

    /// The network namespace of a run that has interfaces.
    async fn network(&self, start: &TaskStart) -> Result<Option<PathBuf>, StartError> {
        if start.interfaces.is_empty() {
            return Ok(None);
        }
        let attached = match &self.networks {
            Some(networks) => networks.attach(start).await,
            None => Err("this agent makes no networks".to_owned()),
        };
        let told = |reason| StartError::Told { permanent: false, reason };
        attached.map(Some).map_err(told)
    }

    /// The data of the run's configs and secrets.
    async fn files(&self, start: &TaskStart) -> Result<RunFiles, StartError> {
        let mut files = start.template.extension.files().peekable();
        let read = match &self.files {
            Some(reader) if files.peek().is_some() => reader.read(start).await,
            _ => Ok(RunFiles::default()),
        };
        let read = read.map_err(|reason| StartError::Told { permanent: true, reason })?;
        match files.find(|file| !read.data.contains_key(&file.file)) {
            None => Ok(read),
            Some(file) => Err(StartError::Told {
                permanent: false,
                reason: format!(
                    "the data of the {} {} is not on this node",
                    file.file.class(),
                    file.name
                ),
            }),
        }
    }

    async fn blocking<T: Send + 'static, E: Into<StartError> + Send + 'static>(
        &self,
        work: impl FnOnce(Images) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StartError> {
        let images = self.images.clone();
        let done = tokio::task::spawn_blocking(move || work(images)).await;
        done.map_err(|_| StartError::Interrupted)?.map_err(Into::into)
    }
}

impl Prepare for ContainerContext {
    fn prepare<'a>(
        &'a self,
        start: &'a TaskStart,
        say: &'a (dyn Fn(String) + Send + Sync),
    ) -> Prepared<'a> {
        Box::pin(async move {
            let template = &start.template;
            let reference: Reference = template.image.parse().map_err(malformed)?;
            let fleet_files = self.files(start).await?;
            let image = self.image(reference, say).await?;
            let (config, health) = (image.config.clone(), image.health.clone());
            let (named, template_of) = (self.volumes.clone(), template.clone());
            let files = async {
                let rootfs = self.unpacked(image).await?;
                let volumes = self.blocking(move |_| named.of_template(&template_of)).await?;
                Ok((rootfs, volumes))
            };
            // The kernel's work on links takes some milliseconds: the disk need not wait for it. Not
            // before the image is here: that may take minutes, or fail each time.
            let ((rootfs, volumes), network) = tokio::try_join!(files, self.network(start))?;
            let own = || (self.hostname)(start);
            Ok(ContainerOrder {
                layers: rootfs.layers,
                config,
                health,
                volumes,
                runtime: self.runtime.clone(),
                hostname: template.hostname.clone().unwrap_or_else(own),
                network,
                filled: fleet_files.filled,
                // Chosen at the last moment, and one after another.
                users: None,
                files: fleet_files.data,
            })
        })
    }
}

fn malformed(error: crate::image::BadReference) -> StartError {
    StartError::Told { permanent: true, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crdt_state::id::{NetworkId, ServiceId, TaskId};
    use crdt_state::interface::TaskInterface;
    use crdt_state::spec::{Template, TemplateVersion};
    use crdt_state::task::{Run, Slot};

    use super::*;
    use crate::image::platform;

    /// Counts namespaces.
    #[derive(Debug, Default)]
    struct Counted(AtomicUsize);

    impl AttachNetworks for Counted {
        fn attach<'a>(
            &'a self,
            _start: &'a TaskStart,
        ) -> Pin<Box<dyn Future<Output = Result<PathBuf, String>> + Send + 'a>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Ok(PathBuf::from("/nowhere")) })
        }
    }

    fn start() -> TaskStart {
        let interface = TaskInterface {
            network: NetworkId([1; 16]),
            name: "eth0".to_owned(),
            addresses: Vec::new(),
            mac: [2; 6],
            gateways: Vec::new(),
            subnets: Vec::new(),
            is_default: true,
            settings: Vec::new(),
        };
        TaskStart {
            run: Run { task: TaskId([7; 16]), attempt: 1 },
            service: ServiceId([1; 16]),
            service_name: "web".to_owned(),
            slot: Slot::Number(1),
            template_version: TemplateVersion(1),
            template: Template { image: "shop/web:1".to_owned(), ..Template::default() },
            interfaces: vec![interface],
        }
    }

    #[test]
    fn a_run_whose_image_is_not_here_gets_no_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let networks = Arc::new(Counted::default());
        let context = ContainerContext {
            images: Images::open(&dir.path().join("images"), platform::this_node()).unwrap(),
            puller: None,
            volumes: Volumes::open(&dir.path().join("volumes")).unwrap(),
            runtime: OciRuntime::default(),
            networks: Some(networks.clone()),
            files: None,
            hostname: |_| "web".to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let start = start();
        let prepared = runtime.block_on(context.prepare(&start, &|_| ()));
        assert!(matches!(prepared, Err(StartError::Told { permanent: false, .. })));
        assert_eq!(networks.0.load(Ordering::Relaxed), 0);
    }
}
