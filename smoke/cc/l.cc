#include "smoke/cc/l.h"
#include <vector>
std::string l(int n){std::vector<std::string> v(n,"x"); return v.at(0)+__FILE__;}
