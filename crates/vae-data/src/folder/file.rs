//! A single image file: its header, and its pixels fitted to a height and width.
//!
//! The format is detected by content. Alpha is composited on black, the orientation tag (EXIF, TIFF) is applied; colour
//! profiles are not.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat,
    ImageReader, ImageResult, Limits, Pixel,
};
use vae_spec::Element;

use super::Fit;

/// Maximum side length to decode or scale to: JPEG's limit.
pub(super) const MAX_SIDE: u32 = 65_535;

/// Memory limit for decoding one image: more than any photograph needs, against decompression bombs.
const MAX_BYTES: u64 = 512 << 20;

/// A linear filter, widened for downscaling so that it averages, as torchvision's `Resize` does. Unlike Lanczos it cannot
/// overshoot, so black and white strokes get no ringing.
const FILTER: FilterType = FilterType::Triangle;

/// What is known of an image before its pixels are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Height and width after applying the orientation.
    pub(super) size: [usize; 2],
    /// Whether the file format is grayscale; palette images and WebP count as colour.
    pub(super) is_grey: bool,
    /// Whether it has further frames or pages.
    pub(super) has_more: bool,
    /// Whether its values have more than 8 bits.
    pub(super) is_deep: bool,
}

impl Header {
    pub(super) fn read(path: &Path) -> ImageResult<Self> {
        let reader = ImageReader::open(path)?.with_guessed_format()?;
        let format = reader.format();
        let (decoder, orientation) = opened(reader)?;
        let (width, height) = decoder.dimensions();
        let is_turned = matches!(
            orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (height, width) = (height as usize, width as usize);
        Ok(Self {
            size: if is_turned {
                [width, height]
            } else {
                [height, width]
            },
            is_grey: !decoder.color_type().has_color(),
            has_more: format.is_some_and(|format| has_more(path, format)),
            is_deep: {
                let color = decoder.color_type();
                color.bits_per_pixel() > 8 * u16::from(color.channel_count())
            },
        })
    }
}

/// The decoder of a file whose format is known, with limits, and the orientation.
fn opened<R: BufRead + Seek + 'static>(
    mut reader: ImageReader<R>,
) -> ImageResult<(impl ImageDecoder, Orientation)> {
    let mut limits = limits();
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    if decoder.total_bytes() == 0 {
        return Err(refused("the image has no pixels"));
    }
    let orientation = decoder.orientation()?;
    Ok((decoder, orientation))
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

/// Whether a file has a second frame or page. One that cannot be decoded is reported when the first is.
fn has_more(path: &Path, format: ImageFormat) -> bool {
    let found = || -> ImageResult<bool> {
        let mut file = BufReader::new(File::open(path)?);
        Ok(match format {
            ImageFormat::Gif => {
                let mut decoder = GifDecoder::new(file)?;
                decoder.set_limits(limits())?;
                let frames = decoder.into_frames().take(2);
                frames.filter(Result::is_ok).count() > 1
            }
            ImageFormat::WebP => WebPDecoder::new(file)?.has_animation(),
            ImageFormat::Png => PngDecoder::new(file)?.is_apng()?,
            ImageFormat::Tiff => has_second_page(&mut file)?,
            _ => false,
        })
    };
    found().unwrap_or(false)
}

/// Whether the first directory of a TIFF file names a next one (TIFF 6.0, section 2; BigTIFF has sizes of 8 bytes).
fn has_second_page(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut start = [0; 4];
    file.read_exact(&mut start)?;
    let is_little = start[0] == b'I';
    let is_big_tiff = start.contains(&43);
    let mut number = |place: u64, size: u64| -> io::Result<u64> {
        let mut bytes = [0; 8];
        let number = &mut bytes[..size as usize];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(number)?;
        if !is_little {
            number.reverse();
        }
        Ok(u64::from_le_bytes(bytes))
    };
    // The place of the first directory, and the sizes of a place, of the count of entries, and of an entry.
    let (place, of_place, of_count, of_entry) = if is_big_tiff {
        (8, 8, 8, 20)
    } else {
        (4, 4, 2, 12)
    };
    let directory = number(place, of_place)?;
    let entries = number(directory, of_count)?.saturating_mul(of_entry);
    let next = directory.saturating_add(of_count).saturating_add(entries);
    Ok(number(next, of_place)? != 0)
}

/// Whether the bytes of a JPEG file go on to the marker of its end: a decoder fills in grey for what is missing before it.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];
    // Within a scan 0xff is followed by 0 or a restart marker, so that what is found after its start is the end.
    let scan = bytes.windows(2).rposition(|pair| pair == START_OF_SCAN);
    scan.is_some_and(|scan| bytes[scan..].windows(2).any(|pair| pair == END_OF_IMAGE))
}

fn refused(why: &str) -> ImageError {
    ImageError::IoError(io::Error::other(why))
}

/// Decodes the image at `path`, with header `header`, into the bytes of `target`: `[channels, height, width]`. Bytes hold the
/// upper 8 bits of values of 16, floats all of them.
pub(super) fn decode_into(
    path: &Path,
    header: Header,
    [channels, height, width]: [usize; 3],
    element: Element,
    fit: Option<Fit>,
    target: &mut [u8],
) -> ImageResult<()> {
    let bytes = fs::read(path)?;
    if bytes.starts_with(&[0xff, 0xd8]) && !is_whole_jpeg(&bytes) {
        return Err(refused("the file is truncated"));
    }
    let (decoder, orientation) =
        opened(ImageReader::new(Cursor::new(bytes)).with_guessed_format()?)?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    if [image.height() as usize, image.width() as usize] != header.size {
        return Err(refused("the file changed while it was being read"));
    }
    if image.color().has_alpha() {
        image = over_black(image, element);
    }
    // Both are at most `MAX_SIDE`.
    let size = (width as u32, height as u32);
    let byte = |value: u8| [value];
    let float = |value: u16| f32::from(value).to_le_bytes();
    match (element, channels) {
        (Element::U8, 1) => store(&fitted(image.into_luma8(), size, fit), byte, target),
        (Element::U8, _) => store(&fitted(image.into_rgb8(), size, fit), byte, target),
        (Element::F32, 1) => store(&fitted(image.into_luma16(), size, fit), float, target),
        (Element::F32, _) => store(&fitted(image.into_rgb16(), size, fit), float, target),
    }
    Ok(())
}

/// Stores an image plane by plane, each value as `bytes` says.
fn store<P: Pixel, const N: usize>(
    image: &Buffer<P>,
    bytes: impl Fn(P::Subpixel) -> [u8; N],
    target: &mut [u8],
) {
    let pixels = image.len() / usize::from(P::CHANNEL_COUNT);
    for (channel, plane) in target.chunks_exact_mut(pixels * N).enumerate() {
        for (place, pixel) in plane.as_chunks_mut().0.iter_mut().zip(image.pixels()) {
            *place = bytes(pixel.channels()[channel]);
        }
    }
}

fn over_black(image: DynamicImage, element: Element) -> DynamicImage {
    /// Darkens by alpha what is `white` at most.
    fn darken<S: Copy + Into<u64> + TryFrom<u64>>(values: &mut [S], white: S) {
        for [colour @ .., alpha] in values.as_chunks_mut::<4>().0 {
            for value in colour {
                let over = (*value).into() * (*alpha).into() + white.into() / 2;
                *value = S::try_from(over / white.into()).unwrap_or(white);
            }
            *alpha = white;
        }
    }
    match element {
        Element::U8 => {
            let mut image = image.into_rgba8();
            darken(&mut image, u8::MAX);
            image.into()
        }
        Element::F32 => {
            let mut image = image.into_rgba16();
            darken(&mut image, u16::MAX);
            image.into()
        }
    }
}

type Buffer<P> = ImageBuffer<P, Vec<<P as Pixel>::Subpixel>>;

fn fitted<P>(image: Buffer<P>, (width, height): (u32, u32), fit: Option<Fit>) -> Buffer<P>
where
    P: Pixel + 'static,
{
    let size = image.dimensions();
    if size == (width, height) {
        return image;
    }
    match fit {
        Some(Fit::Crop) => {
            let (w, h) = largest_inside(size, (width, height));
            let middle = imageops::crop_imm(&image, (size.0 - w) / 2, (size.1 - h) / 2, w, h);
            imageops::resize(&*middle, width, height, FILTER)
        }
        Some(Fit::Pad) => {
            let (w, h) = largest_inside((width, height), size);
            let mut padded = Buffer::<P>::new(width, height);
            let (left, top) = ((width - w) / 2, (height - h) / 2);
            let scaled = imageops::resize(&image, w, h, FILTER);
            imageops::replace(&mut padded, &scaled, left.into(), top.into());
            padded
        }
        Some(Fit::Stretch) | None => imageops::resize(&image, width, height, FILTER),
    }
}

/// Width and height of the largest rectangle of `shape`'s aspect ratio inside `frame`, rounded to whole pixels.
fn largest_inside(frame: (u32, u32), shape: (u32, u32)) -> (u32, u32) {
    // At least 1, and at most the frame's side because `numerator <= denominator`.
    let part = |side: u32, numerator: u64, denominator: u64| {
        ((u64::from(side) * numerator + denominator / 2) / denominator).max(1) as u32
    };
    let wide = u64::from(shape.0) * u64::from(frame.1);
    let tall = u64::from(shape.1) * u64::from(frame.0);
    if wide >= tall {
        (frame.0, part(frame.1, tall, wide))
    } else {
        (part(frame.0, wide, tall), frame.1)
    }
}
