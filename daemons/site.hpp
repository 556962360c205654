// What ringwayd answers: the page, the API and the metrics, to those who may ask.
//
// Thread safety: set_access() from any thread at any time. Progress: an answer is made once per look and shared by all who ask
// for it, however slowly they take it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "http.hpp"
#include "metrics.hpp"
#include "monitor.hpp"

namespace ringway::daemon {

// Who may ask.
struct Access {
  std::string token;               // empty: none is asked for
  std::vector<std::string> hosts;  // names that a browser may have called us by, beside localhost and any address
};

// A file of the page, as it was when this program was built.
struct Asset {
  const char* path;
  const char* type;
  std::string_view bytes;
};
std::span<const Asset> assets();

class Site {
 public:
  // Adds its routes to `server`; all three must outlive it.
  Site(HttpServer& server, const Monitor& monitor, const Metrics& metrics);
  void set_access(Access access);

 private:
  using Handler = httplib::Server::HandlerResponse;
  using Render = std::function<std::string(const Seen&)>;
  struct Rendered {
    std::uint64_t look = 0;
    std::shared_ptr<const std::string> text;
  };

  Handler admit(const httplib::Request& request, httplib::Response& response) const;
  // `path` answers with what `render` makes of the last look.
  void add(HttpServer& server, const std::string& path, const char* type, Render render);
  std::shared_ptr<const std::string> rendered(const std::string& path, const Render& render);
  void topic(const httplib::Request& request, httplib::Response& response) const;

  const Monitor& monitor_;
  mutable std::mutex access_mutex_;
  Access access_;
  std::mutex rendered_mutex_;
  std::map<std::string, Rendered> rendered_;
};

}  // namespace ringway::daemon
