#include "server/persistent_work.h"

#include <algorithm>

#include "base/log.h"

namespace sterna::server {
namespace {

constexpr Duration kEvery = std::chrono::seconds(1);
constexpr std::size_t kFailuresAtOnce = 16;  // the thread serves others between

}  // namespace

PersistentWork::PersistentWork(net::Loop& loop, net::Background& thread) : loop_(loop), thread_(thread) {
  timer_ = loop_.after(kEvery, [this] { tick(); });
}

PersistentWork::~PersistentWork() {
  state_->ended = true;
  loop_.cancel(timer_);
}

void PersistentWork::tick() {
  if (state_->count > 0 && !state_->retrying.exchange(true)) {
    thread_.run([state = state_] {
      retry_all(*state);
      state->retrying = false;
    });
  }
  timer_ = loop_.after(kEvery, [this] { tick(); });
}

bool PersistentWork::is_done(const Status& status) {
  return status || status.error().code == Code::kNotFound || status.error().code == Code::kConflict;
}

void PersistentWork::run(const std::string& subject, const std::string& what, Job job) {
  if (state_->ended) return;
  if (!state_->waiting.contains(subject)) {
    const Status done = job();
    if (is_done(done)) return;
    log::error("what the registry should know or tell has to wait; it is tried again every second",
               {{"subject", std::string_view(subject)},
                {"change", std::string_view(what)},
                {"error", std::string_view(done.error().detail)}});
  }
  keep(*state_, subject, what, std::move(job));
}

void PersistentWork::keep(State& state, const std::string& subject, const std::string& what, Job job) {
  std::vector<Item>& items = state.waiting[subject];
  std::erase_if(items, [&](const Item& item) { return item.what == what; });
  items.push_back({what, std::move(job)});
  state.count = state.waiting.size();
}

// Jobs tell listeners, who may hand in other work: nothing of the map is held meanwhile.
bool PersistentWork::retry(State& state, const std::string& subject) {
  for (bool done = true; done;) {
    std::vector<Item>& waiting = state.waiting.at(subject);
    if (waiting.empty()) break;
    Item item = std::move(waiting.front());
    waiting.erase(waiting.begin());
    done = is_done(item.job());
    std::vector<Item>& items = state.waiting.at(subject);
    if (done) {
      log::info("what had to wait for the registry is done",
                {{"subject", std::string_view(subject)}, {"change", std::string_view(item.what)}});
    } else if (std::ranges::find(items, item.what, &Item::what) == items.end()) {
      items.insert(items.begin(), std::move(item));
    }
  }
  const bool over = state.waiting.at(subject).empty();
  if (over) state.waiting.erase(subject);
  state.count = state.waiting.size();
  return over;
}

// A few that fail for ever do not keep the others from their turn.
void PersistentWork::retry_all(State& state) {
  std::size_t failed = 0;
  for (std::size_t left = state.waiting.size(); left > 0 && failed < kFailuresAtOnce; --left) {
    if (state.ended || state.waiting.empty()) return;
    auto next = state.waiting.upper_bound(state.last_tried);
    if (next == state.waiting.end()) next = state.waiting.begin();
    state.last_tried = next->first;
    if (!retry(state, std::string(next->first))) ++failed;
  }
}

}  // namespace sterna::server
