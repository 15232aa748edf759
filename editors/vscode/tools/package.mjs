// Packs the extension as hearth-VERSION.vsix: a zip whose bytes depend on its files alone.
// Formats: APPNOTE.TXT 6.3 (zip), Open Packaging Conventions ([Content_Types].xml), VSIX manifest 2.0.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 as zlibCrc32, deflateRawSync } from "node:zlib";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const target = join(root, `hearth-${manifest.version}.vsix`);

const escape = (text) => String(text).replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);

function crc32(bytes) {
  if (zlibCrc32) return zlibCrc32(bytes);
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}

const VSIX = `<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id="${escape(manifest.name)}" Version="${escape(manifest.version)}" Publisher="${escape(manifest.publisher)}"/>
    <DisplayName>${escape(manifest.displayName)}</DisplayName>
    <Description xml:space="preserve">${escape(manifest.description)}</Description>
    <Categories>${escape(manifest.categories.join(","))}</Categories>
    <Properties>
      <Property Id="Microsoft.VisualStudio.Code.Engine" Value="${escape(manifest.engines.vscode)}"/>
      <Property Id="Microsoft.VisualStudio.Code.ExtensionKind" Value="${escape(manifest.extensionKind.join(","))}"/>
    </Properties>
    <License>extension/LICENSE.txt</License>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Dependencies/>
  <Assets>
    <Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.Details" Path="extension/README.md" Addressable="true"/>
    <Asset Type="Microsoft.VisualStudio.Services.Content.License" Path="extension/LICENSE.txt" Addressable="true"/>
  </Assets>
</PackageManifest>
`;

const TYPES = `<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="json" ContentType="application/json"/><Default Extension="js" ContentType="application/javascript"/><Default Extension="css" ContentType="text/css"/><Default Extension="svg" ContentType="image/svg+xml"/><Default Extension="md" ContentType="text/markdown"/><Default Extension="txt" ContentType="text/plain"/><Default Extension="vsixmanifest" ContentType="text/xml"/></Types>
`;

/** One file of the archive: its local part and its entry of the directory at the end. */
function entry(name, bytes, offset) {
  const path = Buffer.from(name, "utf8");
  const packed = deflateRawSync(bytes, { level: 9 });
  const common = Buffer.alloc(26);
  common.writeUInt16LE(20, 0); // version needed
  common.writeUInt16LE(0x0800, 2); // names are UTF-8
  common.writeUInt16LE(8, 4); // deflate
  common.writeUInt16LE(0, 6); // midnight
  common.writeUInt16LE(0x21, 8); // 1980-01-01
  common.writeUInt32LE(crc32(bytes), 10);
  common.writeUInt32LE(packed.length, 14);
  common.writeUInt32LE(bytes.length, 18);
  common.writeUInt16LE(path.length, 22);
  const place = Buffer.alloc(14);
  place.writeUInt32LE(0o100644 * 0x10000, 6);
  place.writeUInt32LE(offset, 10);
  return {
    local: Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common, path, packed]),
    central: Buffer.concat([Buffer.from("PK\x01\x02\x14\x03", "latin1"), common, place, path]),
  };
}

function zip(files) {
  const locals = [];
  const centrals = [];
  let offset = 0;
  for (const [name, bytes] of files) {
    const made = entry(name, bytes, offset);
    locals.push(made.local);
    centrals.push(made.central);
    offset += made.local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, directory, end]);
}

const listed = (folder, ending) =>
  readdirSync(join(root, folder)).filter((name) => ending.test(name)).sort().map((name) => `${folder}/${name}`);

if (!existsSync(join(root, "out/src/extension.js"))) {
  console.error("out/src/extension.js is not there: run `npm run build` first");
  process.exit(1);
}
// The tests' settings and tools stay here; so does what only the build needs.
const { devDependencies, scripts, private: _, ...shipped } = manifest;
const files = [
  ["extension.vsixmanifest", Buffer.from(VSIX)],
  ["[Content_Types].xml", Buffer.from(TYPES)],
  ["extension/package.json", Buffer.from(JSON.stringify(shipped, null, 2) + "\n")],
  ["extension/LICENSE.txt", readFileSync(join(root, "../../LICENSE"))],
  ...["README.md", ...listed("media", /\.(js|css|svg)$/), ...listed("out/src", /\.js$/)].map((name) => [
    `extension/${name}`,
    readFileSync(join(root, name)),
  ]),
];
writeFileSync(target, zip(files));
console.log(`${target}: ${files.length} files`);
