#include "logs/build_logs.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/number.h"
#include "logs/record.h"

namespace sterna::logs {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> failed(std::string_view what, const std::error_code& error) {
  return fail_errno(Component::kRegistry, what, error.value());
}

std::unexpected<Error> no_build(std::int64_t version) {
  return fail(Code::kNotFound, Component::kRegistry, "build_not_found",
              fmt::format("nothing was built for version {}: its code needs no build, or is no longer kept",
                          version));
}

void remove_old(const fs::path& folder, std::int64_t up_to) {
  std::vector<fs::path> old;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto number = parse_number<std::int64_t>(entry.path().stem().native());
    if (number && entry.path().extension() == ".ndjson" && *number <= up_to) old.push_back(entry.path());
  }
  for (const fs::path& path : old) fs::remove(path, ignored);
}

}  // namespace

std::string_view to_string(BuildStream stream) {
  return stream == BuildStream::kOutput ? "output" : "platform";
}

BuildLogs::BuildLogs(fs::path dir, std::uint64_t max_bytes, const Clock& clock)
    : dir_(std::move(dir)), half_bytes_(max_bytes / 2), clock_(clock) {}

void BuildLogs::begin(const std::string& function_id, std::int64_t version) {
  Log& log = logs_[{function_id, version}];
  std::list<BuildLogFollower*> followers = std::move(log.followers);
  log = Log();
  log.followers = std::move(followers);
}

std::string BuildLogs::record(BuildStream stream, std::string_view text) const {
  std::string cut(text);
  cut_text(cut);
  const nlohmann::ordered_json json = {
      {"timestamp", format_rfc3339(clock_.wall())}, {"stream", to_string(stream)}, {"text", cut}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

void BuildLogs::add(Log& log, std::string line) const {
  for (BuildLogFollower* follower : log.followers) follower->on_build_line(line);
  if (log.tail.empty() && log.head.size() + line.size() <= half_bytes_) {
    log.head += line;
    return;
  }
  log.tail_bytes += line.size();
  log.tail.push_back(std::move(line));
  while (log.tail_bytes > half_bytes_) {
    log.tail_bytes -= log.tail.front().size();
    log.tail.pop_front();
    ++log.left_out;
  }
}

void BuildLogs::append(const std::string& function_id, std::int64_t version, BuildStream stream,
                       std::string_view lines) {
  const auto found = logs_.find({function_id, version});
  if (found == logs_.end() || found->second.ended) return;
  while (!lines.empty()) {
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    add(found->second, record(stream, line));
  }
}

std::string BuildLogs::text_of(const Log& log) const {
  std::string text = log.head;
  if (log.left_out > 0) {
    text += record(BuildStream::kPlatform, fmt::format("... {} lines are left out here ...", log.left_out));
  }
  for (const std::string& line : log.tail) text += line;
  return text;
}

std::string BuildLogs::end(const std::string& function_id, std::int64_t version) {
  const auto found = logs_.find({function_id, version});
  if (found == logs_.end()) return {};
  Log& log = found->second;
  log.ended = true;
  for (BuildLogFollower* follower : std::exchange(log.followers, {})) follower->on_build_end();
  return text_of(log);
}

void BuildLogs::forget(const std::string& function_id, std::int64_t version) {
  const auto found = logs_.find({function_id, version});
  if (found != logs_.end() && found->second.ended) logs_.erase(found);
}

std::optional<std::string> BuildLogs::recent(const std::string& function_id, std::int64_t version) const {
  const auto found = logs_.find({function_id, version});
  if (found == logs_.end()) return std::nullopt;
  return text_of(found->second);
}

bool BuildLogs::follow(const std::string& function_id, std::int64_t version, BuildLogFollower& follower) {
  const auto found = logs_.find({function_id, version});
  if (found == logs_.end() || found->second.ended) return false;
  found->second.followers.push_back(&follower);
  return true;
}

void BuildLogs::unfollow(BuildLogFollower& follower) {
  for (auto& [key, log] : logs_) log.followers.remove(&follower);
}

fs::path BuildLogs::path_of(const std::string& function_id, std::int64_t version) const {
  return dir_ / function_id / fmt::format("{}.ndjson", version);
}

Status BuildLogs::save(const std::string& function_id, std::int64_t version, std::string_view text,
                       std::int64_t kept) const {
  const fs::path path = path_of(function_id, version);
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return failed("cannot keep a build's log", error);
  const fs::path temporary = path.parent_path() / fmt::format(".{}.new", version);
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!out.flush()) return fail_errno(Component::kRegistry, "cannot keep a build's log", EIO);
  }
  fs::rename(temporary, path, error);
  if (error) return failed("cannot keep a build's log", error);
  remove_old(path.parent_path(), version - kept);
  return {};
}

Result<std::string> BuildLogs::load(const std::string& function_id, std::int64_t version) const {
  std::ifstream in(path_of(function_id, version), std::ios::binary);
  if (!in) return no_build(version);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return fail_errno(Component::kRegistry, "cannot read a build's log", EIO);
  return text;
}

void BuildLogs::remove(const std::string& function_id) const {
  std::error_code ignored;
  fs::remove_all(dir_ / function_id, ignored);
}

void BuildLogs::keep_only(const std::function<bool(const std::string&)>& lives) const {
  std::vector<std::string> others;
  std::error_code error;
  for (fs::directory_iterator at(dir_, error), end; !error && at != end; at.increment(error)) {
    std::string id = at->path().filename().string();
    if (!lives(id)) others.push_back(std::move(id));
  }
  for (const std::string& id : others) remove(id);
}

}  // namespace sterna::logs
