#include "build/workshop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "bundle/folder_tree.h"

namespace sterna::build {
namespace {

namespace fs = std::filesystem;

constexpr const char* kScratchFolders[] = {"home", "tmp"};
constexpr mode_t kFolderMode = 0777;  // the build is another user of the machine

std::unexpected<Error> failed(int error) {
  return fail_errno(Component::kRegistry, "cannot prepare a build", error);
}

Status make_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), kFolderMode) != 0 && errno != EEXIST) return failed(errno);
  if (::chmod(path.c_str(), kFolderMode) != 0) return failed(errno);
  return {};
}

Status make_folders(const fs::path& root, const fs::path& relative) {
  fs::path made = root;
  for (const fs::path& part : relative) {
    made /= part;
    if (Status done = make_folder(made); !done) return done;
  }
  return {};
}

Status write_input(const fs::path& root, const bundle::File& file) {
  const fs::path path = root / file.path;
  if (Status done = make_folders(root, fs::path(file.path).parent_path()); !done) return done;
  std::ofstream out(path, std::ios::binary);
  out.write(file.content.data(), static_cast<std::streamsize>(file.content.size()));
  if (!out.flush()) return failed(EIO);
  const mode_t mode = file.executable == bundle::Executable::kYes ? 0777 : 0666;
  if (::chmod(path.c_str(), mode) != 0) return failed(errno);
  return {};
}

Status fill(const fs::path& root, const Recipe& recipe) {
  for (const char* name : kScratchFolders) {
    if (Status done = make_folders(root, fs::path(kScratch) / name); !done) return done;
  }
  for (const bundle::File& file : recipe.inputs) {
    if (Status done = write_input(root, file); !done) return done;
  }
  return {};
}

bool is_folder(const Recipe& recipe) {
  return recipe.kind != api::BuildKind::kCpp;
}

}  // namespace

Result<fs::path> open_workshop(LayerStore& layers, const Recipe& recipe) {
  auto folder = layers.make_workshop();
  if (!folder) return folder;
  if (Status filled = fill(*folder, recipe); !filled) {
    bundle::remove_tree(*folder);
    return std::unexpected(filled.error());
  }
  return folder;
}

Status keep_result(LayerStore& layers, const Recipe& recipe, const fs::path& folder,
                   std::uint64_t max_bytes) {
  if (bundle::tree_size(folder).bytes > max_bytes) {
    return fail(Code::kExhausted, Component::kFunction, "build_too_large",
                fmt::format("it used more disk than the server allows builds ({} MB, build.disk_mb)",
                            max_bytes >> 20U));
  }
  const fs::path made = folder / recipe.output;
  std::error_code unknown;
  const fs::file_type type = fs::symlink_status(made, unknown).type();
  // Nothing was needed on this machine: all the packages are optional ones for others.
  if (type == fs::file_type::not_found && is_folder(recipe)) {
    if (Status done = make_folder(made); !done) return done;
  } else if (type != (is_folder(recipe) ? fs::file_type::directory : fs::file_type::regular)) {
    return fail(Code::kFunctionFailed, Component::kFunction, "build_incomplete",
                "the tool has ended well, but made no " + recipe.output);
  }
  const auto kept = layers.add(recipe.key, made);
  if (!kept) return std::unexpected(kept.error());
  return {};
}

}  // namespace sterna::build
