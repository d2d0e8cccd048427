#include "callback/curl_sender.h"

#include <algorithm>
#include <atomic>
#include <deque>

#include "callback/curl_driver.h"
#include "callback/transfer.h"
#include "callback/verdict.h"

namespace sterna::callback {
namespace {

constexpr Duration kForever = std::chrono::hours(1);
constexpr Duration kShedPause = std::chrono::milliseconds(100);

// Before any thread may use curl; curl counts and needs no end in a process that ends.
void initialise_curl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  STERNA_ASSERT(code == CURLE_OK);
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

List list_of(const std::vector<std::string>& lines) {
  List list;
  for (const auto& line : lines) list.reset(curl_slist_append(list.release(), line.c_str()));
  return list;
}

}  // namespace

// What runs on the sender's thread, and the two places where both threads meet: `inbox_`, and jobs posted to
// the loop.
class CurlSender::Thread final : private AnswerObserver {
 public:
  using Mail = std::vector<std::pair<Post, Done>>;

  Thread(net::Loop& loop, const Clock& clock, const SenderLimits& limits, AllowList server_allow)
      : loop_(loop),
        clock_(clock),
        limits_(limits),
        server_allow_(std::move(server_allow)),
        resolved_(list_of(limits.resolved)),
        driver_(limits.max_idle_connections),
        table_(limits),
        thread_([this] { run(); }) {}

  ~Thread() {
    stopping_ = true;
    driver_.wake();
    thread_.join();
  }

  // Loop's thread.
  void take(Mail& mail) {
    bool first = false;
    {
      const std::scoped_lock lock(mutex_);
      first = inbox_.empty();
      if (first) {
        inbox_.swap(mail);
      } else {
        std::ranges::move(mail, std::back_inserter(inbox_));
      }
    }
    mail.clear();
    if (first) driver_.wake();
  }

 private:
  // Its answer's head is there, the end of the body is not.
  struct Lingering {
    Transfer* transfer;
    MonotonicTime until;
  };

  void run() {
    while (!stopping_) {
      driver_.turn(longest_wait());
      read_inbox();
      sign_one_piece();
      while (const auto done = driver_.next_done()) {
        Transfer& transfer = Transfer::of(done->handle);
        end_exchange(transfer, done->code);
      }
      end_lingering();
      shed();
      start_waiting();
      send_results();
    }
  }

  Duration longest_wait() const {
    if (!signing_.empty()) return Duration::zero();
    const Duration wait = table_.waiting() > 0 ? kShedPause : kForever;
    return lingering_.empty() ? wait : std::min(wait, lingering_.front().until - clock_.now());
  }

  void on_answer_head(Transfer& transfer) override {
    lingering_.push_back({&transfer, clock_.now() + limits_.answer_body_wait});
  }

  // The head of the answer decides: an end of the body that does not come is not waited for. That costs the
  // connection, so it gets a moment. A request that is not sent yet gets another.
  void end_lingering() {
    while (!lingering_.empty() && lingering_.front().until <= clock_.now()) {
      Transfer& transfer = *lingering_.front().transfer;
      if (transfer.has_answer()) {
        end_exchange(transfer, CURLE_OK);
      } else {
        lingering_.pop_front();
        on_answer_head(transfer);
      }
    }
  }

  void shed() {
    if (table_.waiting() == 0 || clock_.now() < next_shed_) return;
    next_shed_ = clock_.now() + kShedPause;
    for (auto& refusal : table_.shed(clock_.now())) give_back(std::move(refusal));
  }

  void read_inbox() {
    Mail mail;
    {
      const std::scoped_lock lock(mutex_);
      mail.swap(inbox_);
    }
    for (auto& [post, done] : mail) receive(std::move(post), std::move(done));
  }

  void receive(Post post, Done done) {
    auto target = parse_target(post.url);
    if (!target) {
      results_.emplace_back(std::move(done), undeliverable(target.error().detail));
      return;
    }
    auto pending = std::make_unique<PendingPost>();
    pending->post = std::move(post);
    pending->done = std::move(done);
    pending->target = *std::move(target);
    if (auto refusal = table_.add(std::move(pending), clock_.now())) give_back(std::move(*refusal));
  }

  void start_waiting() {
    while (auto pending = table_.next(clock_.now())) {
      Transfer& transfer = idle_transfer();
      go_on(transfer, transfer.begin(std::move(pending)));
    }
  }

  void sign_one_piece() {
    if (signing_.empty()) return;
    Transfer& transfer = *signing_.front();
    signing_.pop_front();
    go_on(transfer, transfer.sign_some());
  }

  void end_exchange(Transfer& transfer, CURLcode code) {
    driver_.remove(transfer.handle());
    std::erase_if(lingering_, [&](const Lingering& each) { return each.transfer == &transfer; });
    go_on(transfer, transfer.on_done(code));
  }

  void go_on(Transfer& transfer, Transfer::Step step) {
    switch (step) {
      case Transfer::Step::kSign:
        signing_.push_back(&transfer);
        return;
      case Transfer::Step::kSend:
        driver_.add(transfer.handle());
        return;
      case Transfer::Step::kOver:
        finish(transfer);
        return;
    }
  }

  void finish(Transfer& transfer) {
    PendingPostPtr pending = transfer.take_post();
    for (auto& refusal : table_.end(*pending, transfer.reach(), clock_.now())) give_back(std::move(refusal));
    results_.emplace_back(std::move(pending->done), transfer.take_result());
    idle_.push_back(&transfer);
  }

  void give_back(TargetTable::Refusal refusal) {
    results_.emplace_back(std::move(refusal.post->done),
                          refusal.rests ? target_rests(std::move(refusal.detail), refusal.retry_after)
                                        : not_attempted(std::move(refusal.detail), refusal.retry_after));
  }

  // As many are made as posts were ever under way at once; the newest one idle has the warmest memory.
  Transfer& idle_transfer() {
    if (idle_.empty()) {
      transfers_.push_back(std::make_unique<Transfer>(limits_, server_allow_, clock_, resolved_.get(),
                                                      static_cast<AnswerObserver&>(*this)));
      return *transfers_.back();
    }
    Transfer& transfer = *idle_.back();
    idle_.pop_back();
    return transfer;
  }

  // One job for all that ended in this turn. It does nothing when the sender has ended since; both are on the
  // loop's thread.
  void send_results() {
    if (results_.empty()) return;
    loop_.post([alive = std::weak_ptr(alive_), results = std::exchange(results_, {})]() mutable {
      for (auto& [done, result] : results) {
        if (alive.expired()) return;
        done(std::move(result));
      }
    });
  }

  net::Loop& loop_;
  const Clock& clock_;
  const SenderLimits limits_;
  const AllowList server_allow_;
  const List resolved_;
  // Shared with jobs in the loop, which may outlive the sender.
  const std::shared_ptr<int> alive_ = std::make_shared<int>();

  std::mutex mutex_;
  Mail inbox_;  // guarded by mutex_
  std::atomic<bool> stopping_ = false;

  // The sender's thread only.
  CurlDriver driver_;
  TargetTable table_;
  std::vector<std::unique_ptr<Transfer>> transfers_;
  std::vector<Transfer*> idle_;
  std::deque<Transfer*> signing_;
  std::deque<Lingering> lingering_;  // by `until`
  MonotonicTime next_shed_;
  std::vector<std::pair<Done, PostResult>> results_;

  std::thread thread_;  // last: it uses the others
};

CurlSender::CurlSender(net::Loop& loop, const Clock& clock, const SenderLimits& limits,
                       AllowList server_allow)
    : loop_(loop) {
  initialise_curl();
  thread_ = std::make_unique<Thread>(loop, clock, limits, std::move(server_allow));
}

CurlSender::~CurlSender() {
  loop_.forget(*this);
}

void CurlSender::post(Post post, Done done) {
  gathered_.emplace_back(std::move(post), std::move(done));
  loop_.at_turn_end(*this);
}

void CurlSender::on_turn_end() {
  thread_->take(gathered_);
}

}  // namespace sterna::callback
