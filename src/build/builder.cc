#include "build/builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "build/workshop.h"
#include "bundle/folder_tree.h"

namespace sterna::build {
namespace {

constexpr std::size_t kShownToLatecomers = 16U << 10;

std::string seconds_text(Duration duration) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
}

// Faults of the server are told in its log, to the user only that there was one.
std::string reason_of(const Error& error) {
  if (error.code != Code::kIo && error.code != Code::kInternal) return error.detail;
  log::error("a build fails",
             {{"reason", std::string_view(error.reason)}, {"error", std::string_view(error.detail)}});
  return "the server could not do it; its log says why";
}

}  // namespace

Builder::Builder(net::Loop& loop, pool::Launcher& launcher, UlidGenerator& ids, bundle::BundleStore& bundles,
                 LayerStore& layers, logs::BuildLogs& logs, Toolbox tools, BuilderSettings settings,
                 BuildResults& results)
    : loop_(loop),
      launcher_(launcher),
      ids_(ids),
      bundles_(bundles),
      layers_(layers),
      logs_(logs),
      tools_(std::move(tools)),
      settings_(settings),
      results_(results),
      turns_(settings_.parallel) {}

Builder::~Builder() = default;

template <class Work, class Then>
void Builder::on_disk(Work work, Then then) {
  disk_thread_.run([this, work = std::move(work), then = std::move(then)]() mutable {
    loop_.post([then = std::move(then), result = work()]() mutable { then(result); });
  });
}

bool Builder::needs_build(const registry::Version& version) const {
  if (version.layer == registry::kNoLayer || version.bundle.empty()) return false;
  if (version.layer.empty()) return may_need_build(version.spec, bundles_.path_of(version.bundle));
  std::error_code unknown;
  return !std::filesystem::exists(bundles_.composed_path(version.bundle, version.layer), unknown);
}

Builder::Wait* Builder::find(const Ticket& ticket) {
  const auto found = waits_.find(ticket.first);
  return closing_ || found == waits_.end() || found->second.ticket != ticket.second ? nullptr
                                                                                    : &found->second;
}

void Builder::note(const Wait& wait, std::string_view line) {
  logs_.append(wait.id, wait.version, logs::BuildStream::kPlatform, line);
}

void Builder::build(const registry::Function& function, const registry::Version& version) {
  if (closing_) return;
  Wait& wait = waits_[function.id];
  wait = {.id = function.id,
          .space = function.space,
          .name = function.name,
          .version = version.number,
          .ticket = next_ticket_++,
          .spec = version.spec,
          .bundle = version.bundle,
          .key = {},
          .joined = false};
  logs_.begin(wait.id, wait.version);
  on_disk(
      [this, space = function.space_id, spec = wait.spec,
       bundle = wait.bundle]() -> Result<std::optional<Recipe>> {
        const auto files = bundles_.load(bundle);
        if (!files) return std::unexpected(files.error());
        return plan_build(space, spec, *files, tools_);
      },
      [this, ticket = Ticket(wait.id, wait.ticket)](const auto& recipe) { planned(ticket, recipe); });
}

void Builder::planned(const Ticket& ticket, const Result<std::optional<Recipe>>& recipe) {
  Wait* const wait = find(ticket);
  if (wait == nullptr) return;
  if (!recipe) return fail(*wait, reason_of(recipe.error()));
  if (!*recipe) return succeed(*wait, std::string(registry::kNoLayer));
  wait->key = (*recipe)->key;
  take_layer(ticket, **recipe);
}

// What is there is used; else a build is begun, or one that is under way is waited for.
void Builder::take_layer(const Ticket& ticket, const Recipe& recipe) {
  const Wait* const wait = find(ticket);
  if (wait == nullptr) return;
  enum class Found : std::uint8_t { kNo, kYes };
  on_disk(
      [this, key = recipe.key, bundle = wait->bundle]() -> Result<Found> {
        const auto files = layers_.find(key);
        if (!files) return Found::kNo;
        const Status composed = bundles_.compose(bundle, key, *files);
        if (!composed) return std::unexpected(composed.error());
        return Found::kYes;
      },
      [this, ticket, recipe](const Result<Found>& found) {
        Wait* const waiting = find(ticket);
        if (waiting == nullptr) return;
        if (!found) return fail(*waiting, reason_of(found.error()));
        if (*found == Found::kNo) return join(*waiting, recipe);
        note(*waiting, fmt::format("{}: ready", recipe.what));
        succeed(*waiting, recipe.key);
      });
}

void Builder::join(Wait& wait, const Recipe& recipe) {
  wait.joined = true;
  auto& job = jobs_[recipe.key];
  if (job) {
    job->waiting.insert(wait.id);
    note(wait, fmt::format("{}: the same is being built already", recipe.what));
    logs_.append(wait.id, wait.version, logs::BuildStream::kOutput, job->output);
    return;
  }
  job = std::make_unique<Job>();
  job->recipe = recipe;
  job->space = wait.space;
  job->waiting.insert(wait.id);
  turns_.add(recipe.key, wait.space);
  start_next();
  if (job->state == Job::State::kQueued)
    note(wait, fmt::format("{}: waiting for other builds to end", recipe.what));
}

std::size_t Builder::free_number() const {
  std::size_t number = 1;
  while (std::ranges::any_of(jobs_, [&](const auto& each) { return each.second->number == number; }))
    ++number;
  return number;
}

std::set<std::string> Builder::wanted_keys() const {
  std::set<std::string> keys;
  for (const auto& [id, wait] : waits_) keys.insert(wait.key);
  return keys;
}

void Builder::start_next() {
  while (const auto key = turns_.take()) {
    Job& job = *jobs_.at(*key);
    job.state = Job::State::kPreparing;
    job.number = free_number();
    for (const std::string& id : job.waiting)
      note(waits_.at(id), fmt::format("{}: building", job.recipe.what));
    on_disk([this, &recipe = job.recipe] { return open_workshop(layers_, recipe); },
            [this, key = *key](const auto& folder) { prepared(key, folder); });
  }
}

void Builder::prepared(const std::string& key, const Result<std::filesystem::path>& folder) {
  Job& job = *jobs_.at(key);
  if (!folder) return close_job(key, reason_of(folder.error()));
  job.folder = *folder;
  if (job.waiting.empty() || closing_) return close_job(key, "cancelled");
  job.state = Job::State::kRunning;
  job.began = loop_.now();
  const Wait& first = waits_.at(*job.waiting.begin());
  job.run = std::make_unique<BuildRun>(
      loop_, launcher_, ids_, measure_thread_, job.recipe,
      BuildRun::Place{
          .folder = job.folder, .space = first.space, .function = first.name, .number = job.number},
      settings_.limits,
      [this, &job](std::string_view lines) {
        job.output.append(lines);
        if (job.output.size() > 2 * kShownToLatecomers) {
          const std::size_t line = job.output.find('\n', job.output.size() - kShownToLatecomers);
          job.output.erase(0, line == std::string::npos ? 0 : line + 1);
        }
        for (const std::string& id : job.waiting) {
          logs_.append(id, waits_.at(id).version, logs::BuildStream::kOutput, lines);
        }
      },
      [this, key](const std::string& failure) { loop_.post([this, key, failure] { ended(key, failure); }); });
}

void Builder::ended(const std::string& key, const std::string& failure) {
  Job& job = *jobs_.at(key);
  job.run.reset();
  if (!failure.empty() || closing_) return close_job(key, failure);
  job.state = Job::State::kKeeping;
  on_disk([this, &recipe = job.recipe,
           folder = job.folder] { return keep_result(layers_, recipe, folder, settings_.limits.disk_bytes); },
          [this, key](const Status& status) { kept(key, status); });
}

void Builder::kept(const std::string& key, const Status& status) {
  close_job(key, status ? std::string() : reason_of(status.error()));
}

// All who wait get the layer, or the failure.
void Builder::close_job(const std::string& key, const std::string& failure) {
  const auto node = jobs_.extract(key);
  const Job& job = *node.mapped();
  turns_.end(job.space);
  if (!job.folder.empty()) disk_thread_.run([folder = job.folder] { bundle::remove_tree(folder); });
  const Duration spent = job.began == MonotonicTime() ? Duration() : loop_.now() - job.began;
  if (!job.stopped && !closing_) counts_.spent += spent;
  const std::string took = seconds_text(spent);
  for (const std::string& id : job.waiting) {
    const auto found = waits_.find(id);
    if (closing_ || found == waits_.end()) continue;
    if (!failure.empty() && !job.stopped) {
      fail(found->second, failure);
      continue;
    }
    if (!job.stopped) note(found->second, fmt::format("built in {}", took));
    take_layer({id, found->second.ticket}, job.recipe);
  }
  start_next();
}

void Builder::succeed(Wait& wait, const std::string& layer) {
  end_log(wait.id, wait.version, layer != registry::kNoLayer);
  if (layer != registry::kNoLayer) ++(wait.joined ? counts_.built : counts_.reused);
  results_.set_layer(wait.id, static_cast<std::uint32_t>(wait.version), layer);
  waits_.erase(std::string(wait.id));
  disk_thread_.run([this, spared = wanted_keys()] { layers_.evict(spared); });
}

void Builder::fail(Wait& wait, const std::string& reason) {
  note(wait, "the build failed: " + reason);
  end_log(wait.id, wait.version, true);
  ++counts_.failed;
  results_.fail_version(wait.id, static_cast<std::uint32_t>(wait.version), "the build failed: " + reason);
  waits_.erase(std::string(wait.id));
}

void Builder::end_log(const std::string& id, std::int64_t version, bool keep) {
  const std::string text = logs_.end(id, version);
  if (!keep) return logs_.forget(id, version);
  on_disk([this, id, version, text] { return logs_.save(id, version, text, settings_.kept_logs); },
          [this, id, version](const Status& saved) {
            if (!saved) reason_of(saved.error());
            logs_.forget(id, version);
          });
}

void Builder::cancel(const std::string& id) {
  const auto found = waits_.find(id);
  if (found == waits_.end()) return;
  note(found->second, "cancelled: the version is not wanted any more");
  end_log(id, found->second.version, true);
  const std::string key = found->second.key;
  waits_.erase(found);
  const auto job = jobs_.find(key);
  if (job == jobs_.end()) return;
  job->second->waiting.erase(id);
  if (!job->second->waiting.empty()) return;
  if (job->second->state == Job::State::kQueued) {
    turns_.drop(key);
    jobs_.erase(job);
  } else if (job->second->run) {
    job->second->stopped = true;
    job->second->run->stop("cancelled");
  }
}

void Builder::forget(const std::string& id) {
  disk_thread_.run([this, id] { logs_.remove(id); });
}

void Builder::shut_down() {
  closing_ = true;
  turns_.clear();
  std::erase_if(jobs_, [](const auto& each) { return each.second->state == Job::State::kQueued; });
  for (const auto& [key, job] : jobs_) {
    if (job->run) job->run->stop("cancelled");
  }
}

}  // namespace sterna::build
