#include "build/workshop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <map>
#include <set>
#include <vector>

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

fs::file_type type_of(const fs::path& path) {
  std::error_code unknown;
  return fs::symlink_status(path, unknown).type();
}

// A folder that is closed to its owner can neither be read nor moved.
Status move(const fs::path& from, const fs::path& to) {
  std::error_code error;
  if (type_of(from) == fs::file_type::directory && ::chmod(from.c_str(), 0700) != 0) return failed(errno);
  fs::rename(from, to, error);
  if (error) return failed(error.value());
  return {};
}

bool holds(const fs::path& path, const bundle::File& file) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  const bool executable = (info.st_mode & S_IXUSR) != 0;
  if (executable != (file.executable == bundle::Executable::kYes)) return false;
  if (static_cast<std::size_t>(info.st_size) != file.content.size()) return false;
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {}) == file.content;
}

// What a build has made in a workshop, told from what it was given.
class Gathering {
 public:
  Gathering(fs::path workshop, fs::path kept, const Recipe& recipe)
      : workshop_(std::move(workshop)), kept_(std::move(kept)) {
    for (const bundle::File& file : recipe.inputs) {
      inputs_.emplace(file.path, &file);
      for (fs::path folder = fs::path(file.path).parent_path(); !folder.empty();
           folder = folder.parent_path())
        folders_.insert(folder);
    }
  }

  // Moves it away. Folders that hold inputs are looked into, others are new: no symbolic link is followed.
  Status run() {
    std::vector<fs::path> open = {fs::path()};
    while (!open.empty()) {
      const fs::path at = std::move(open.back());
      open.pop_back();
      if (Status done = look(at, open); !done) return done;
    }
    return {};
  }

 private:
  Status look(const fs::path& at, std::vector<fs::path>& open) {
    std::error_code error;
    std::vector<fs::path> names;
    if (::chmod((workshop_ / at).c_str(), 0700) != 0) return failed(errno);
    for (const auto& entry : fs::directory_iterator(workshop_ / at, error))
      names.push_back(entry.path().filename());
    if (error) return failed(error.value());
    for (const fs::path& name : names) {
      const fs::path path = at / name;
      if (path == fs::path(kScratch)) continue;
      const bool folder = type_of(workshop_ / path) == fs::file_type::directory;
      if (folder && folders_.contains(path)) {
        open.push_back(path);
        continue;
      }
      const auto input = inputs_.find(path);
      if (input != inputs_.end() && holds(workshop_ / path, *input->second)) continue;
      if (Status made = make_folders(kept_, at); !made) return made;
      if (Status moved = move(workshop_ / path, kept_ / path); !moved) return moved;
    }
    return {};
  }

  const fs::path workshop_;
  const fs::path kept_;
  std::map<fs::path, const bundle::File*> inputs_;
  std::set<fs::path> folders_;
};

Status gather(const Recipe& recipe, const fs::path& folder, const fs::path& kept) {
  if (recipe.kind == api::BuildKind::kNode) {
    if (Status done = Gathering(folder, kept, recipe).run(); !done) return done;
  } else if (type_of(folder / recipe.output) != fs::file_type::not_found) {
    if (Status done = move(folder / recipe.output, kept / recipe.output); !done) return done;
  }
  const fs::path made = kept / recipe.output;
  const fs::file_type type = type_of(made);
  // Nothing was needed on this machine: all the packages are optional ones for others.
  if (type == fs::file_type::not_found && is_folder(recipe)) return make_folder(made);
  if (type != (is_folder(recipe) ? fs::file_type::directory : fs::file_type::regular)) {
    return fail(Code::kFunctionFailed, Component::kFunction, "build_incomplete",
                "the tool has ended well, but made no " + recipe.output);
  }
  return {};
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

std::string too_much_disk(std::uint64_t max_bytes) {
  return fmt::format("it used more disk than the server allows builds ({} MB, build.disk_mb)",
                     max_bytes >> 20U);
}

std::string excess_of(const bundle::TreeSize& size, std::uint64_t unnamed, std::uint64_t max_bytes) {
  if (size.bytes > max_bytes || unnamed > max_bytes - size.bytes) return too_much_disk(max_bytes);
  if (size.whole) return {};
  return fmt::format(
      "it made folders that the server cannot look through: closed ones, or deeper than {} folders or {} "
      "bytes of a path",
      bundle::kMaxTreeDepth, bundle::kMaxTreePath);
}

Status keep_result(LayerStore& layers, const Recipe& recipe, const fs::path& folder,
                   std::uint64_t max_bytes) {
  if (const std::string excess = excess_of(bundle::tree_size(folder, max_bytes), 0, max_bytes);
      !excess.empty())
    return fail(Code::kExhausted, Component::kFunction, "build_too_large", excess);
  const auto kept = layers.make_workshop();
  if (!kept) return std::unexpected(kept.error());
  Status done = gather(recipe, folder, *kept);
  if (done) {
    if (const auto added = layers.add(recipe.key, *kept); !added) done = std::unexpected(added.error());
  }
  bundle::remove_tree(*kept);
  return done;
}

}  // namespace sterna::build
